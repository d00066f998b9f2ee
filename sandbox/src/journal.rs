//! The append-only file behind the world: one JSON event a line, handed to the operating system before any answer
//! leaves. What was answered therefore survives a kill -9 (not a power cut: a stand-in need not pay for fsync).
//! A torn last line belongs to a request nobody got an answer for; it is cut off at the next start.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::Error;

#[derive(Debug)]
pub(crate) struct Journal {
    file: Option<File>,
    len: u64,
}

impl Journal {
    /// A journal that keeps nothing.
    pub(crate) fn in_memory() -> Self {
        Self { file: None, len: 0 }
    }

    /// Opens the journal of a data folder, hands every event to `replay` in order, and holds the folder's lock.
    pub(crate) fn open<E: DeserializeOwned>(dir: &Path, mut replay: impl FnMut(E)) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).map_err(|source| Error::folder(dir, source))?;
        let path: PathBuf = dir.join("journal.jsonl");
        let io = |source| Error::folder(&path, source);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::FolderInUse(dir.to_owned())),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(io)?;
        let mut len = 0;
        for (index, line) in text.split_inclusive(|b| *b == b'\n').enumerate() {
            let end = len + line.len();
            match serde_json::from_slice(line) {
                Ok(event) if line.ends_with(b"\n") => replay(event),
                Err(problem) if line.ends_with(b"\n") && end < text.len() => {
                    return Err(Error::Journal { path, line: index + 1, reason: problem.to_string() });
                }
                _ => break, // torn: the last line, cut off below
            }
            len = end;
        }
        let len = len as u64;
        file.set_len(len).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        Ok(Self { file: Some(file), len })
    }

    /// Appends one event. After an error the file is as it was, so the next event starts on its own line.
    pub(crate) fn append(&mut self, event: &impl Serialize) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        if let Err(problem) = file.write_all(&line) {
            file.set_len(self.len)?;
            return Err(problem);
        }
        self.len += line.len() as u64;
        Ok(())
    }

    pub(crate) fn clear(&mut self) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.set_len(0)?;
        }
        self.len = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Journal;

    fn replayed(dir: &std::path::Path) -> Result<Vec<u32>, crate::Error> {
        let mut seen = Vec::new();
        Journal::open(dir, |event: u32| seen.push(event)).map(|_| seen)
    }

    #[test]
    fn replays_what_was_written_and_cuts_a_torn_last_line() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path(), |_: u32| {}).unwrap();
        journal.append(&1).unwrap();
        journal.append(&2).unwrap();
        drop(journal);
        let path = dir.path().join("journal.jsonl");
        std::fs::write(&path, [std::fs::read(&path).unwrap(), b"33".to_vec()].concat()).unwrap();
        assert_eq!(replayed(dir.path()).unwrap(), [1, 2]);
        let mut journal = Journal::open(dir.path(), |_: u32| {}).unwrap();
        journal.append(&4).unwrap();
        drop(journal);
        assert_eq!(replayed(dir.path()).unwrap(), [1, 2, 4]);
    }

    #[test]
    fn refuses_a_broken_line_in_the_middle_and_a_second_owner() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("journal.jsonl"), "1\nbroken\n3\n").unwrap();
        assert!(matches!(replayed(dir.path()), Err(crate::Error::Journal { line: 2, .. })));
        std::fs::write(dir.path().join("journal.jsonl"), "1\n").unwrap();
        let _held = Journal::open(dir.path(), |_: u32| {}).unwrap();
        assert!(matches!(replayed(dir.path()), Err(crate::Error::FolderInUse(_))));
    }
}
