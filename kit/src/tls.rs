//! Mutual TLS between the processes of a mesh: who a service is stands in its certificate, as the DNS name
//! `<service>.postmesh.internal` (and under the plain name `<service>`).
//!
//! `postmesh certs` makes a certificate authority and one certificate per service; production may bring its own.

use std::{fs, io, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

const DOMAIN: &str = ".postmesh.internal";

/// Uses aws-lc-rs for all TLS of the process. Call it first in `main`; calling again is harmless.
pub fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A service's certificate, its key, and the authority it trusts.
#[derive(Clone)]
pub struct MeshTls {
    ca: Certificate,
    identity: Identity,
}

impl std::fmt::Debug for MeshTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MeshTls")
    }
}

impl MeshTls {
    /// Reads the three PEM files.
    pub fn read(ca: &Path, certificate: &Path, key: &Path) -> io::Result<Self> {
        let read = |path: &Path| {
            fs::read(path).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display()))
            })
        };
        Ok(Self {
            ca: Certificate::from_pem(read(ca)?),
            identity: Identity::from_pem(read(certificate)?, read(key)?),
        })
    }

    /// How the service is served: callers without a certificate of the same authority are refused.
    pub fn server(&self) -> ServerTlsConfig {
        ServerTlsConfig::new().identity(self.identity.clone()).client_ca_root(self.ca.clone())
    }

    /// How the service `callee` is called.
    pub fn client(&self, callee: &str) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .ca_certificate(self.ca.clone())
            .identity(self.identity.clone())
            .domain_name(format!("{callee}{DOMAIN}"))
    }
}

/// The service a certificate belongs to.
pub fn service_name(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::DNSName(name) => name.strip_suffix(DOMAIN).map(str::to_owned),
        _ => None,
    })
}

/// Makes `ca.crt` and, for each service, `<service>.crt` and `<service>.key` in a folder. Existing files are refused,
/// so that a running mesh is not cut off by accident. The authority's key is not kept: more certificates mean a new
/// authority.
pub fn make_certificates(folder: &Path, services: &[&str], days: u32) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let ca_key = KeyPair::generate().map_err(io::Error::other)?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = named("postmesh mesh authority");
    let (not_before, not_after) = validity(days);
    (params.not_before, params.not_after) = (not_before, not_after);
    let ca = params.self_signed(&ca_key).map_err(io::Error::other)?;
    let issuer = Issuer::new(params, ca_key);
    write_new(&folder.join("ca.crt"), ca.pem().as_bytes(), 0o644)?;
    for service in services {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let mut params = CertificateParams::new(vec![format!("{service}{DOMAIN}"), (*service).to_owned()])
            .map_err(io::Error::other)?;
        params.distinguished_name = named(service);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (not_before, not_after);
        let certificate = params.signed_by(&key, &issuer).map_err(io::Error::other)?;
        write_new(&folder.join(format!("{service}.crt")), certificate.pem().as_bytes(), 0o644)?;
        write_new(&folder.join(format!("{service}.key")), key.serialize_pem().as_bytes(), 0o600)?;
    }
    Ok(())
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// From an hour ago (clocks differ) for so many days.
fn validity(days: u32) -> (time::OffsetDateTime, time::OffsetDateTime) {
    use crate::clock::{Clock, SystemClock};
    let now = time::OffsetDateTime::from_unix_timestamp(SystemClock.now_ms() / 1000)
        .expect("the clock is set to this age");
    (now - time::Duration::HOUR, now + time::Duration::days(i64::from(days)))
}

/// Writes a file that must not exist yet, with the mode it keeps. Others see the whole file or none: several processes
/// may start on one folder at once.
pub fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    use std::io::Write;
    let failed =
        |error: io::Error| io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", crate::ids::new().simple()));
    let aside = path.with_file_name(name);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(&aside).map_err(failed)?;
    let written = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        // Unlike a rename, this fails when the name is taken.
        .and_then(|()| fs::hard_link(&aside, path));
    let _ = fs::remove_file(&aside);
    written.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_whole_or_not_there_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write_new(&path, b"first", 0o600).unwrap();
        let refused = write_new(&path, b"second", 0o600).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_certificate_names_its_service() {
        let folder = tempfile::tempdir().unwrap();
        make_certificates(folder.path(), &["auth", "media"], 30).unwrap();
        let pem = fs::read(folder.path().join("media.crt")).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
        assert_eq!(service_name(&pem.contents).as_deref(), Some("media"));
        assert!(make_certificates(folder.path(), &["auth"], 30).is_err(), "existing files are kept");
    }
}
