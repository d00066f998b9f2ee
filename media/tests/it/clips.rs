//! Video files: small ones made by a common encoder, and what cameras, editors and attackers make of them.

/// A second of 64 × 64 pixels, H.264 with AAC; a place and a title are in its metadata.
pub(crate) const CLIP: &[u8] = include_bytes!("fixtures/clip.mp4");
/// Half a second of 96 × 64 pixels on their side, HEVC, silent, in a QuickTime file with a place.
pub(crate) const HEVC: &[u8] = include_bytes!("fixtures/hevc.mov");
/// VP9 in an MP4 file.
pub(crate) const VP9: &[u8] = include_bytes!("fixtures/vp9.mp4");
/// H.264 with MP3.
pub(crate) const MP3: &[u8] = include_bytes!("fixtures/mp3.mp4");
/// The clip in fragments.
pub(crate) const FRAGMENTS: &[u8] = include_bytes!("fixtures/frag.mp4");
/// The sound of the clip alone.
pub(crate) const SOUND: &[u8] = include_bytes!("fixtures/sound.mp4");

/// What no rendition of a video may contain.
pub(crate) const PLANTED: &[&[u8]] = &[b"PLANTED", b"loci", b"\xA9xyz", b"+48.8584", b"48.8584", b"udta"];

/// A box.
pub(crate) fn part(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
}

/// The boxes that bytes are made of: kind, place and length.
pub(crate) fn parts(bytes: &[u8]) -> Vec<([u8; 4], usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        found.push((bytes[at + 4..at + 8].try_into().unwrap(), at, size));
        at += size;
    }
    found
}

/// Where the body of the box of that kind is.
pub(crate) fn body(bytes: &[u8], kind: &[u8; 4]) -> std::ops::Range<usize> {
    let (_, at, size) = *parts(bytes).iter().find(|(found, ..)| found == kind).unwrap();
    at + 8..at + size
}

/// The clip as an action camera would leave it: a track of telemetry beside picture and sound, notes of an editor in
/// the file, and a trailer of the phone's own behind it. The frames stay where they are.
pub(crate) fn with_telemetry() -> Vec<u8> {
    let (media, movie) = (body(CLIP, b"mdat"), body(CLIP, b"moov"));
    let samples = [&CLIP[media.clone()], b"PLANTED telemetry +48.8584+002.2945"].concat();
    let handler = part(b"hdlr", b"\0\0\0\0\0\0\0\0meta\0\0\0\0\0\0\0\0\0\0\0\0PLANTED handler\0");
    let telemetry = part(b"trak", &part(b"mdia", &handler));
    let notes = part(b"meta", b"PLANTED notes");
    let movie = [&CLIP[movie], &telemetry, &notes].concat();
    let mut file = CLIP[..media.start - 8].to_vec();
    file.extend(part(b"mdat", &samples));
    file.extend(part(
        b"uuid",
        b"\xBE\x7A\xCF\xCB\x97\xA9\x42\xE8\x9C\x71\x99\x94\x91\xE3\xAF\xACPLANTED XMP",
    ));
    file.extend(part(b"moov", &movie));
    file.extend(part(b"skip", b"PLANTED <script>"));
    file.extend(b"SEFH PLANTED trailer");
    file
}

/// A clip of at least so many bytes.
pub(crate) fn padded(size: usize) -> Vec<u8> {
    [CLIP, &part(b"free", &vec![7; size])].concat()
}

/// The clip with other bytes in place of the first ones that are these.
pub(crate) fn changed(from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = CLIP.windows(from.len()).position(|window| window == from).unwrap();
    let mut file = CLIP.to_vec();
    file[at..at + to.len()].copy_from_slice(to);
    file
}
