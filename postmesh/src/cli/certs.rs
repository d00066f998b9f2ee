//! `postmesh certs`: the certificates of a mesh.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use postmesh_kit::tls;

use crate::mesh::Service;

/// Make the certificates of a mesh.
#[derive(Debug, Args)]
pub(crate) struct Certs {
    /// Folder for `ca.crt` and, per service, `<service>.crt` and `<service>.key`
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How long they are good for
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=825))]
    days: u32,
    /// Succeed without writing when the folder holds certificates already
    #[arg(long)]
    if_missing: bool,
}

impl Certs {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        if self.if_missing && self.out.join("ca.crt").exists() {
            println!("{} holds certificates already", self.out.display());
            return Ok(ExitCode::SUCCESS);
        }
        let services: Vec<_> = Service::ALL.iter().map(|service| service.name()).chain(["gateway"]).collect();
        tls::make_certificates(&self.out, &services, self.days)?;
        println!("wrote ca.crt and the certificates of {} to {}", services.join(", "), self.out.display());
        Ok(ExitCode::SUCCESS)
    }
}
