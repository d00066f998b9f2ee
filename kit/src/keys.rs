//! Keys that seal secrets at rest: AES-256-GCM under a versioned key, bound to where the secret belongs.
//!
//! A sealed value is `version (4 bytes) | nonce (12) | ciphertext and tag`. Opening with other associated data, or
//! after the value was moved to another row, fails. The key file holds every version; the newest seals.

use std::{collections::BTreeMap, fmt, fs, io, path::Path, sync::Arc};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::tls::write_new;

const VERSION_LEN: usize = 4;
const KEY_LEN: usize = 32;

/// Why a sealed value did not open or a key file was refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key file cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The key file's content is wrong.
    #[error("the key file {path} is not valid: {what}")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// Others may read the key file.
    #[error("the key file {0} can be read by other users; run: chmod 600 {0}")]
    TooOpen(String),
    /// The value was sealed with a key that the key file no longer holds.
    #[error("no key of version {0}; put it back into the key file")]
    MissingVersion(u32),
    /// The value was changed, moved, or sealed for something else.
    #[error("a sealed value does not open; it was changed or belongs elsewhere")]
    Refused,
}

/// The keys of one installation. Clones share them.
#[derive(Clone)]
pub struct KeyRing(Arc<BTreeMap<u32, Zeroizing<[u8; KEY_LEN]>>>);

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing(versions {:?})", self.0.keys())
    }
}

impl KeyRing {
    /// A ring of one key, version 1.
    pub fn single(key: [u8; KEY_LEN]) -> Self {
        Self(Arc::new(BTreeMap::from([(1, Zeroizing::new(key))])))
    }

    /// Reads the key file, making it with a random key when there is none. Lines are `version base64`; a line that
    /// begins with `#` is a comment. A file that everyone may read, or its group may change, is refused (its group
    /// may read it, because that is how secrets are mounted into containers).
    pub fn open_or_create(path: &Path) -> Result<Self, KeyError> {
        if !path.exists() {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let key = Zeroizing::new(rand::random::<[u8; KEY_LEN]>());
            let content = Zeroizing::new(format!(
                "# Keys that seal secrets at rest. Keep this file apart from backups of the data.\n1 {}\n",
                STANDARD.encode(key.as_slice())
            ));
            match write_new(path, content.as_bytes(), 0o600) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
                _ => {}
            }
        }
        Self::read(path)
    }

    fn read(path: &Path) -> Result<Self, KeyError> {
        let name = path.display().to_string();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            if fs::metadata(path)?.permissions().mode() & 0o037 != 0 {
                return Err(KeyError::TooOpen(name));
            }
        }
        let malformed = |what: &str| KeyError::Malformed { path: name.clone(), what: what.to_owned() };
        let content = Zeroizing::new(fs::read_to_string(path)?);
        let mut keys = BTreeMap::new();
        for line in content.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (version, key) =
                line.split_once(' ').ok_or_else(|| malformed("a line is `version base64`"))?;
            let version: u32 = version.parse().map_err(|_| malformed("a version is a whole number"))?;
            let bytes =
                Zeroizing::new(STANDARD.decode(key.trim()).map_err(|_| malformed("a key is base64"))?);
            let key = bytes.as_slice().try_into().map_err(|_| malformed("a key has 32 bytes"))?;
            keys.insert(version, Zeroizing::new(key));
        }
        if keys.is_empty() { Err(malformed("it holds no key")) } else { Ok(Self(Arc::new(keys))) }
    }

    /// Seals a secret with the newest key. `aad` says where it belongs and must be given again to open it.
    pub fn seal(&self, aad: &[u8], secret: &[u8]) -> Vec<u8> {
        let (version, key) = self.0.last_key_value().expect("a ring is never empty");
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = secret.to_vec();
        aead(key)
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut sealed)
            .expect("a secret is far shorter than what the cipher can seal");
        [version.to_be_bytes().as_slice(), &nonce, &sealed].concat()
    }

    /// Opens what [`KeyRing::seal`] made, with the same `aad`.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let (version, rest) = sealed.split_first_chunk::<VERSION_LEN>().ok_or(KeyError::Refused)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>().ok_or(KeyError::Refused)?;
        let version = u32::from_be_bytes(*version);
        let key = self.0.get(&version).ok_or(KeyError::MissingVersion(version))?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let length = aead(key)
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut buffer)
            .map_err(|_| KeyError::Refused)?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }

    /// A key for one purpose, from the oldest key of the ring, so that it never changes while that one is kept.
    pub fn derive(&self, purpose: &str) -> [u8; KEY_LEN] {
        let (_, root) = self.0.first_key_value().expect("a ring is never empty");
        let mut derived = [0; KEY_LEN];
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"postmesh")
            .extract(root.as_slice())
            .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut derived))
            .expect("the output has the length of the hash");
        derived
    }
}

fn aead(key: &[u8; KEY_LEN]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("the key has the cipher's length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_where_it_belongs() {
        let ring = KeyRing::single([7; 32]);
        let sealed = ring.seal(b"workspace|account", b"token");
        assert_eq!(ring.open(b"workspace|account", &sealed).unwrap().as_slice(), b"token");
        assert!(ring.open(b"workspace|other", &sealed).is_err());
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(ring.open(b"workspace|account", &changed).is_err());
        assert!(ring.open(b"workspace|account", &[]).is_err());
        assert_ne!(sealed, ring.seal(b"workspace|account", b"token"), "nonces differ");
    }

    #[test]
    fn a_newer_key_seals_and_an_older_one_still_opens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let old = KeyRing::open_or_create(&path).unwrap();
        let sealed = old.seal(b"a", b"secret");
        let mut content = fs::read_to_string(&path).unwrap();
        content += &["2 ", &STANDARD.encode([9; 32]), "\n"].concat();
        fs::write(&path, content).unwrap();
        let new = KeyRing::open_or_create(&path).unwrap();
        assert_eq!(new.open(b"a", &sealed).unwrap().as_slice(), b"secret");
        assert!(matches!(old.open(b"a", &new.seal(b"a", b"x")), Err(KeyError::MissingVersion(2))));
        assert_eq!(old.derive("idempotency"), new.derive("idempotency"));
    }

    #[cfg(unix)]
    #[test]
    fn refuses_a_key_file_that_others_may_read() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        KeyRing::open_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(KeyRing::open_or_create(&path), Err(KeyError::TooOpen(_))));
    }
}
