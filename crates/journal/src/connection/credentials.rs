//! Credentials for the broker, from a file made by nsc. The file is read for each connection, because credentials are
//! rotated by replacing it while the process runs.

use std::{
    fs,
    io::{Error, ErrorKind},
    path::Path,
};

use async_nats::Auth;
use nkeys::KeyPair;

#[derive(Debug)]
pub(crate) struct Credentials {
    jwt: String,
    key: KeyPair,
}

impl Credentials {
    /// # Errors
    /// When the file cannot be read, or is not a credentials file.
    pub(crate) fn read(file: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(file)?;
        let part = |name: &str| {
            section(&text, name).ok_or_else(|| Error::new(ErrorKind::InvalidData, format!("it has no section {name}")))
        };
        let jwt = part("NATS USER JWT")?.to_owned();
        let key = KeyPair::from_seed(part("USER NKEY SEED")?).map_err(|e| Error::new(ErrorKind::InvalidData, e))?;
        Ok(Self { jwt, key })
    }

    /// Signs the nonce of the broker, which proves the identity of this process.
    pub(crate) fn sign(&self, nonce: &[u8]) -> Result<Auth, nkeys::error::Error> {
        let mut auth = Auth::new();
        auth.jwt = Some(self.jwt.clone());
        auth.signature = Some(self.key.sign(nonce)?);
        Ok(auth)
    }
}

/// The line after `-----BEGIN <name>-----`.
fn section<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| line.starts_with("---") && line.contains("BEGIN") && line.contains(name))?;
    lines.find(|line| !line.is_empty()).filter(|line| !line.starts_with("---"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_credentials_file_is_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("user.creds");
        let seed = KeyPair::new_user().seed().unwrap();
        let jwt = "-----BEGIN NATS USER JWT-----\r\nabc.def.ghi\r\n------END NATS USER JWT------\r\n\r\n";
        fs::write(
            &file,
            format!("{jwt}-----BEGIN USER NKEY SEED-----\r\n{seed}\r\n------END USER NKEY SEED------\r\n"),
        )
        .unwrap();
        let auth = Credentials::read(&file).unwrap().sign(b"nonce").unwrap();
        assert_eq!(auth.jwt.as_deref(), Some("abc.def.ghi"));
        assert!(auth.signature.is_some());
        fs::write(&file, jwt).unwrap();
        let refused = Credentials::read(&file).unwrap_err().to_string();
        assert!(refused.contains("USER NKEY SEED"), "{refused}");
    }
}
