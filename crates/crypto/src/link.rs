//! Authenticated links. A link contains a text and a code that only the holder of the master key can make. The code is
//! an HMAC-SHA256, with a key that is derived from the master key for one purpose only.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::sealing::MasterKey;

/// The length of the code. Half of a MAC is still too long to be guessed, and keeps links short (RFC 2104 section 5).
const CODE_BYTES: usize = 16;

/// Writes and reads links of one purpose.
#[derive(Clone)]
pub struct Links {
    mac: Hmac<Sha256>,
}

impl Links {
    /// Links of this purpose. They are not valid for another purpose.
    pub fn new(key: &MasterKey, purpose: &str) -> Self {
        // HKDF-Expand (RFC 5869 section 2.3) of one block: the master key cannot be derived from the result.
        let block = keyed(key.bytes()).chain_update(purpose).chain_update([1]).finalize().into_bytes();
        Self { mac: keyed(&block) }
    }

    /// A link that contains this text. The link consists of letters, digits, `-` and `_`.
    pub fn write(&self, text: &str) -> String {
        let code = self.mac.clone().chain_update(text).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode([&code[..CODE_BYTES], text.as_bytes()].concat())
    }

    /// The text of a link; `None` if the link was not written with this master key for this purpose.
    pub fn read(&self, link: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(link).ok()?;
        let (code, text) = bytes.split_at_checked(CODE_BYTES)?;
        self.mac.clone().chain_update(text).verify_truncated_left(code).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }
}

pub(crate) fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Links(…)")
    }
}

/// Codes that the owner of an address gets by mail. With a code the owner agrees to mails about an account.
#[derive(Debug, Clone)]
pub struct ConfirmationCodes(Links);

impl ConfirmationCodes {
    /// Codes that only the holder of this master key can make.
    pub fn new(key: &MasterKey) -> Self {
        Self(Links::new(key, "leadline confirm"))
    }

    /// The code for an address and an account. The id of the account must not contain `/`.
    pub fn write(&self, account: &str, email: &str) -> String {
        self.0.write(&format!("{account}/{email}"))
    }

    /// Account and address; `None` if the code was not made with this key.
    pub fn read(&self, code: &str) -> Option<(String, String)> {
        let text = self.0.read(code)?;
        text.split_once('/').map(|(account, email)| (account.to_owned(), email.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_link_is_not_read() {
        let key = MasterKey::generate().unwrap();
        let (links, text) = (Links::new(&key, "one"), "acme/error/ä@b.example");
        let link = links.write(text);
        assert!(link.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_'), "{link}");
        assert_eq!(links.read(&link).as_deref(), Some(text));
        assert_eq!(Links::new(&key, "two").read(&link), None);
        assert_eq!(Links::new(&MasterKey::generate().unwrap(), "one").read(&link), None);
        let bytes = URL_SAFE_NO_PAD.decode(&link).unwrap();
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            assert_eq!(links.read(&URL_SAFE_NO_PAD.encode(changed)), None);
        }
        for broken in ["", "AAAA", "%", &link[..20], &format!("{link}AAAA")] {
            assert_eq!(links.read(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_confirmation_code_names_its_account_and_address() {
        let key = MasterKey::generate().unwrap();
        let codes = ConfirmationCodes::new(&key);
        let code = codes.write("acme", "a/b@x.example");
        assert_eq!(codes.read(&code), Some(("acme".into(), "a/b@x.example".into())));
        let unsubscribing = Links::new(&key, "leadline unsubscribe");
        assert_eq!(codes.read(&unsubscribing.write("acme/a@x.example")), None);
        assert_eq!(unsubscribing.read(&code), None);
        assert_eq!(ConfirmationCodes::new(&MasterKey::generate().unwrap()).read(&code), None);
    }
}
