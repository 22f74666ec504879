//! `Content-Encoding` of requests (RFC 9110, section 8.4): none, `identity` or `gzip`.
//!
//! The limit of a request applies to its decompressed size. Decompression stops one byte after the limit, so a
//! compressed request costs at most as much memory and time as the largest plain one.

use std::io::Read as _;

use api::publish::PublishError;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;

/// The encodings that are accepted besides plain bodies: the value of `Accept-Encoding` in a refusal.
pub(crate) const ACCEPTED: &str = "gzip";
/// The field that refusals name.
const FIELD: &str = "content-encoding";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    Gzip,
}

/// Why a body cannot be decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Undecoded {
    Wrong(PublishError),
    TooLarge(PublishError),
}

impl Encoding {
    /// The encoding that a request names.
    ///
    /// # Errors
    /// If the encoding is not accepted.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, PublishError> {
        let mut encoding = Self::Plain;
        for value in headers.get_all(header::CONTENT_ENCODING) {
            for word in value.to_str().unwrap_or("?").split(',').map(str::trim) {
                encoding = match (encoding, word.to_ascii_lowercase().as_str()) {
                    (_, "" | "identity") => encoding,
                    (Self::Plain, "gzip" | "x-gzip") => Self::Gzip,
                    (Self::Gzip, "gzip" | "x-gzip") => return Err(refused("has to name gzip once")),
                    _ => return Err(refused("names an encoding that is not accepted")),
                };
            }
        }
        Ok(encoding)
    }

    /// Decodes a body to at most `max` bytes.
    ///
    /// # Errors
    /// If the body does not have this encoding, or decodes to more than `max` bytes.
    pub(crate) fn decode(self, body: Bytes, max: usize) -> Result<Bytes, Undecoded> {
        if self == Self::Plain {
            return Ok(body);
        }
        let mut plain = Vec::new();
        let mut reader = MultiGzDecoder::new(&body[..]).take(max as u64 + 1);
        let read = reader.read_to_end(&mut plain);
        if plain.len() > max {
            let problem = format!("the request has more than {max} bytes once it is decompressed");
            return Err(Undecoded::TooLarge(PublishError::invalid("body", problem)));
        }
        match read {
            Ok(_) => Ok(plain.into()),
            Err(_) => {
                Err(Undecoded::Wrong(PublishError::invalid("body", "is not gzip, although content-encoding is gzip")))
            }
        }
    }
}

fn refused(problem: &str) -> PublishError {
    PublishError::invalid(FIELD, format!("{problem}; send the body plain or with {ACCEPTED}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(vec![], Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn of(values: &[&str]) -> Result<Encoding, PublishError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_ENCODING, value.parse().unwrap());
        }
        Encoding::of(&headers)
    }

    #[test]
    fn gzip_is_accepted_once_and_nothing_else() {
        for plain in [&[][..], &["identity"], &[""], &["identity, identity"]] {
            assert_eq!(of(plain), Ok(Encoding::Plain), "{plain:?}");
        }
        for compressed in [&["gzip"][..], &["GZIP"], &["x-gzip"], &["identity", "gzip"]] {
            assert_eq!(of(compressed), Ok(Encoding::Gzip), "{compressed:?}");
        }
        for wrong in [&["br"][..], &["zstd"], &["deflate"], &["gzip, gzip"], &["gzip", "br"], &["gzip;q=1"]] {
            let error = of(wrong).unwrap_err();
            assert_eq!(error.field(), Some(FIELD), "{wrong:?}");
            assert!(error.to_string().contains("gzip"), "{error}");
        }
    }

    #[test]
    fn a_body_is_decompressed_up_to_the_limit() {
        let text = br#"{"account":"a"}"#.repeat(100);
        let decode = |body: Vec<u8>, max| Encoding::Gzip.decode(body.into(), max);
        assert_eq!(decode(gzip(&text), text.len()).unwrap(), text);
        let members = [gzip(&text[..7]), gzip(&text[7..])].concat();
        assert_eq!(decode(members, text.len()).unwrap(), text, "several members are one body (RFC 1952, 2.2)");
        assert!(matches!(decode(gzip(&text), text.len() - 1), Err(Undecoded::TooLarge(_))));
        let whole = gzip(&text);
        for wrong in [b"{}".to_vec(), vec![], whole[..whole.len() - 1].to_vec(), [&whole[..], b"rest"].concat()] {
            assert!(matches!(decode(wrong.clone(), 10_000), Err(Undecoded::Wrong(_))), "{wrong:?}");
        }
    }

    #[test]
    fn a_compression_bomb_is_read_up_to_the_limit() {
        let bomb = gzip(&vec![b' '; 64 * 1024 * 1024]);
        assert!(bomb.len() < 100_000);
        assert!(matches!(Encoding::Gzip.decode(bomb.into(), 1_000), Err(Undecoded::TooLarge(_))));
    }
}
