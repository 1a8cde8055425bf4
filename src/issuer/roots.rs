//! The certificate authorities that a chain is held against: this machine's, and those of a file.

use std::path::Path;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::base::error::Error;
use crate::base::exit::Exit;

/// Trusted roots.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    /// Those of this machine, which stand in for the ones that AWS trusts.
    pub public: Vec<CertificateDer<'static>>,
    /// Those of `--ca-file`, which AWS does not know.
    pub private: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// Reads this machine's roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured), and those of a PEM file.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn load(ca_file: Option<&Path>) -> Result<Self, Error> {
        let public = rustls_native_certs::load_native_certs().certs;
        let private = ca_file.map_or(Ok(Vec::new()), |path| {
            let wrong = |reason: String| {
                Error::new(Exit::Usage, format!("--ca-file: {reason}"))
                    .help("it names a PEM file of certificate authorities, each between BEGIN and END CERTIFICATE")
            };
            let pem = crate::base::file::read_given(path, crate::base::file::SMALL)
                .map_err(|error| wrong(error.to_string()))?;
            let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
            let read = read.map_err(|error| wrong(format!("{}: {error}", path.display())))?;
            if read.is_empty() { Err(wrong(format!("{} holds no certificate", path.display()))) } else { Ok(read) }
        })?;
        Ok(Self { public, private })
    }
}
