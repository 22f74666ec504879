//! The options for importing a secret that receivers already have. It is read from a file or standard input, because
//! others can see arguments.

use std::{io::Read as _, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

/// The maximum size of the file, in bytes; every secret is shorter.
const MAX_BYTES: u64 = 4 * 1024;

/// A secret to import.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// File with a secret that receivers already have, to use instead of a new one; - reads standard input. One line
    /// break at its end is ignored
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Encoding of the secret
    #[arg(long, value_name = "NAME", default_value = "whsec", requires = "secret_file")]
    secret_format: Format,
}

/// The encodings of a secret.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Standard Webhooks: whsec_ and base64 of 24 to 64 bytes
    Whsec,
    /// The text itself, 8 to 256 bytes, such as a secret of Stripe
    #[value(name = "utf-8", alias = "utf8")]
    Utf8,
    /// 8 to 256 bytes in hexadecimal digits
    Hex,
    /// 8 to 256 bytes in base64
    Base64,
}

impl Import {
    /// The secret; `None` if none is given.
    pub(crate) fn read(&self) -> anyhow::Result<Option<api::ImportedSecret>> {
        use api::imported_secret::Secret;
        let Some(file) = &self.secret_file else { return Ok(None) };
        let mut text = String::new();
        let read = if file.as_os_str() == "-" {
            std::io::stdin().take(MAX_BYTES).read_to_string(&mut text)
        } else {
            std::fs::File::open(file).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text))
        };
        read.with_context(|| format!("--secret-file: {} cannot be read as text", file.display()))?;
        let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
        let line = line.to_owned();
        let secret = match self.secret_format {
            Format::Whsec => Secret::Whsec(line),
            Format::Utf8 => Secret::Utf8(line),
            Format::Hex => Secret::Hex(line),
            Format::Base64 => Secret::Base64(line),
        };
        Ok(Some(api::ImportedSecret { secret: Some(secret) }))
    }
}
