//! The built files of the console, embedded in the program.
//!
//! The names in `assets/` contain a hash of the content, so browsers keep these files for ever. They request the others
//! again each time. Every path without a file is a screen of the console; the answer is `index.html`.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt::Write as _,
    io::Write as _,
    sync::{LazyLock, OnceLock},
};

use axum::{
    body::Bytes,
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};
use rust_embed::RustEmbed;

const INDEX: &str = "index.html";
/// The folder of the files whose names contain a hash.
const HASHED: &str = "assets/";
/// The number of bytes of a hash that identify a version of a file.
const ETAG_BYTES: usize = 16;

#[derive(RustEmbed)]
#[folder = "../../console/dist"]
struct Embedded;

struct Asset {
    name: String,
    bytes: Bytes,
    /// `None` if compressing gains nothing. Compressed at the first request for it.
    gzip: OnceLock<Option<Bytes>>,
    etag: String,
}

static ASSETS: LazyLock<HashMap<String, Asset>> = LazyLock::new(|| {
    let all = Embedded::iter().filter_map(|name| Some((name.to_string(), asset(&name)?)));
    all.collect()
});

fn asset(name: &str) -> Option<Asset> {
    let file = Embedded::get(name)?;
    let bytes = match file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    let etag = file.metadata.sha256_hash().iter().take(ETAG_BYTES).fold(String::new(), |mut etag, byte| {
        let _ = write!(etag, "{byte:02x}");
        etag
    });
    Some(Asset { name: name.to_owned(), bytes, gzip: OnceLock::new(), etag: format!("\"{etag}\"") })
}

pub(crate) async fn index(headers: HeaderMap) -> Response {
    found(INDEX, &headers)
}

pub(crate) async fn file(Path(path): Path<String>, headers: HeaderMap) -> Response {
    if ASSETS.contains_key(&path) {
        return found(&path, &headers);
    }
    // A page of an older version may request a script that no longer exists. It needs an error, not the page of the
    // console.
    if path.starts_with(HASHED) {
        return (StatusCode::NOT_FOUND, "there is no such file; load the page again").into_response();
    }
    found(INDEX, &headers)
}

fn found(name: &str, headers: &HeaderMap) -> Response {
    let Some(asset) = ASSETS.get(name) else {
        return (StatusCode::NOT_FOUND, "this build of Leadline has no console").into_response();
    };
    let cache = if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut answer = match headers.get(header::IF_NONE_MATCH) {
        Some(known) if known == asset.etag.as_str() => StatusCode::NOT_MODIFIED.into_response(),
        _ => asset.answer(headers),
    };
    let of_answer = answer.headers_mut();
    of_answer.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    of_answer.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(etag) = HeaderValue::from_str(&asset.etag) {
        of_answer.insert(header::ETAG, etag);
    }
    answer
}

impl Asset {
    fn answer(&self, headers: &HeaderMap) -> Response {
        let media_type = [(header::CONTENT_TYPE, media_type(&self.name))];
        match accepts_gzip(headers).then(|| self.gzip.get_or_init(|| compressed(&self.bytes)).clone()).flatten() {
            Some(gzip) => (media_type, [(header::CONTENT_ENCODING, "gzip")], gzip).into_response(),
            None => (media_type, self.bytes.clone()).into_response(),
        }
    }
}

fn compressed(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(vec![], Compression::best());
    encoder.write_all(bytes).ok()?;
    let gzip = encoder.finish().ok()?;
    (gzip.len() < bytes.len()).then(|| gzip.into())
}

/// Whether an answer may be compressed (RFC 9110, 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|line| line.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().trim_start_matches("q=");
        name.trim().eq_ignore_ascii_case("gzip") && weight.parse::<f32>().ok().is_none_or(|weight| weight > 0.0)
    })
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_page_is_compressed_if_the_client_accepts_gzip() {
        assert!(ASSETS.contains_key(INDEX));
        let accepts = |value: &'static str| {
            accepts_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]))
        };
        for good in ["gzip", "br, gzip", "GZIP;q=0.5", "deflate, gzip; q=1.0"] {
            assert!(accepts(good), "{good}");
        }
        for bad in ["", "br", "gzip;q=0", "gzip;q=0.0", "xgzip"] {
            assert!(!accepts(bad), "{bad}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
