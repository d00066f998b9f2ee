//! A folder that a server lives in, and the user that runs it.

use std::{fs, io, os::unix::fs::chown, path::Path, process::Stdio};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tokio::process::Command;

/// The user that servers run as when the caller is root, which PostgreSQL refuses to serve.
#[derive(Debug, Clone, Copy)]
struct Lent {
    uid: u32,
    gid: u32,
}

impl Lent {
    /// Nobody else when the caller is an ordinary user.
    fn find() -> anyhow::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").context("the users of this machine cannot be read")?;
        let of = |name: &str| {
            users.lines().find_map(|line| {
                let mut fields = line.split(':');
                (fields.next()? == name).then_some(())?;
                let uid = fields.nth(1)?.parse().ok()?;
                Some(Self { uid, gid: fields.next()?.parse().ok()? })
            })
        };
        let lent = of("postgres").or_else(|| of("nobody"));
        Ok(Some(lent.context("PostgreSQL does not run as root, and there is no other user to run it as")?))
    }
}

/// A folder of a server, in the hands of the user that runs it.
#[derive(Debug)]
pub(super) struct Room {
    folder: TempDir,
    lent: Option<Lent>,
}

impl Room {
    pub(super) fn open() -> anyhow::Result<Self> {
        let room =
            Self { folder: tempfile::Builder::new().prefix("chaos-server-").tempdir()?, lent: Lent::find()? };
        room.lend(room.folder.path())?;
        Ok(room)
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn lend(&self, path: &Path) -> io::Result<()> {
        match self.lent {
            Some(Lent { uid, gid }) => chown(path, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// A command that runs here, as the user it may run as, its output in `<folder>/<log>`.
    pub(super) fn command(&self, program: &Path, log: &str) -> anyhow::Result<Command> {
        let mut command = match self.lent {
            Some(Lent { uid, gid }) => {
                let mut command = Command::new("setpriv");
                command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}"));
                command.args(["--init-groups", "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        let out = fs::File::options().create(true).append(true).open(self.path().join(log))?;
        command
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            // A signal of the terminal is for the suite, which ends its servers itself.
            .process_group(0)
            .kill_on_drop(true);
        Ok(command)
    }

    pub(super) async fn run(
        &self,
        program: &Path,
        args: &[&str],
        env: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        let status = self.command(program, "once.log")?.args(args).envs(env.iter().copied()).status().await?;
        let said = || fs::read_to_string(self.path().join("once.log")).unwrap_or_default();
        ensure!(status.success(), "{} failed:\n{}", program.display(), said());
        Ok(())
    }
}
