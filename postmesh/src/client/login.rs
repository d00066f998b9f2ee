//! Logins of this user on this machine: `logins.json` in the configuration folder, mode 0600, one entry per mesh.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use etcetera::BaseStrategy as _;
use postmesh_kit::{time::from_proto, tls::write_new};
use postmesh_proto::auth::v1::Session;
use serde::{Deserialize, Serialize};

/// A login at one mesh.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Login {
    /// Who.
    pub email: String,
    /// The workspace's name.
    pub workspace: String,
    /// Good for minutes.
    pub access_token: String,
    /// When it ends.
    pub access_expires_ms: i64,
    /// Good once.
    pub refresh_token: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({})", self.email)
    }
}

impl Login {
    /// From what auth answered.
    pub(crate) fn new(email: &str, workspace: &str, session: Session) -> Self {
        Self {
            email: email.to_owned(),
            workspace: workspace.to_owned(),
            access_expires_ms: session
                .access_token_expire_time
                .as_ref()
                .and_then(from_proto)
                .unwrap_or_default(),
            access_token: session.access_token,
            refresh_token: session.refresh_token,
        }
    }
}

/// All logins, and which mesh is meant when none is named.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Logins {
    /// The mesh signed in to last.
    pub current: Option<String>,
    /// By address.
    pub logins: BTreeMap<String, Login>,
}

impl Logins {
    /// Where they are kept.
    pub(crate) fn path() -> anyhow::Result<PathBuf> {
        let folders = etcetera::choose_base_strategy().context("this user has no home folder")?;
        Ok(folders.config_dir().join("postmesh").join("logins.json"))
    }

    /// Reads them; none when there is no file yet.
    pub(crate) fn read() -> anyhow::Result<Self> {
        read(&Self::path()?)
    }

    /// Changes them.
    pub(crate) fn change(change: impl FnOnce(&mut Self)) -> anyhow::Result<()> {
        let path = Self::path()?;
        let mut logins = read(&path)?;
        change(&mut logins);
        write(&path, &logins).with_context(|| format!("cannot keep the login in {}", path.display()))
    }
}

fn read(path: &Path) -> anyhow::Result<Logins> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is damaged; delete it and sign in again", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Logins::default()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Replaces the file in one step, so that a crash leaves the old or the new one.
fn write(path: &Path, logins: &Logins) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let next = path.with_extension(format!("{}.new", uuid::Uuid::now_v7().simple()));
    write_new(&next, &serde_json::to_vec_pretty(logins)?, 0o600)?;
    fs::rename(&next, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn keeps_logins_for_their_user_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postmesh/logins.json");
        assert!(read(&path).unwrap().logins.is_empty());
        let mut logins = Logins::default();
        logins.logins.insert("http://a".to_owned(), Login::new("ana@example.com", "Ana", Session::default()));
        write(&path, &logins).unwrap();
        write(&path, &logins).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap().logins["http://a"].email, "ana@example.com");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }
}
