//! The look of an account's portals: a colour, and a logo that cannot contain a script.

use std::{fmt, str::FromStr, sync::Arc};

/// The look of an account's portals.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Portal {
    /// `None` if the colour of the console is used.
    pub color: Option<Color>,
    /// `None` if there is no logo.
    pub logo: Option<Logo>,
}

/// A colour of sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color([u8; 3]);

/// Why the look of a portal is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPortal {
    #[error("is not a colour such as #1f5fbf")]
    Color,
    #[error("is not a PNG, JPEG or WebP image")]
    Type,
    #[error("has more than {} bytes", Logo::MAX_SIZE)]
    Size,
}

impl FromStr for Color {
    type Err = NoPortal;

    fn from_str(text: &str) -> Result<Self, NoPortal> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6).ok_or(NoPortal::Color)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(NoPortal::Color);
        }
        let [_, red, green, blue] = u32::from_str_radix(digits, 16).map_err(|_| NoPortal::Color)?.to_be_bytes();
        Ok(Self([red, green, blue]))
    }
}

/// As `#1f5fbf`.
impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

/// A raster image. SVG is refused, because it may contain scripts.
#[derive(Clone, PartialEq, Eq)]
pub struct Logo {
    bytes: Arc<[u8]>,
    media_type: &'static str,
}

impl Logo {
    /// The maximum size, in bytes, because every process keeps the logo in memory.
    pub const MAX_SIZE: usize = 32 * 1024;

    /// Recognises the type of the image by its first bytes.
    ///
    /// # Errors
    /// If it is too large, or of no supported type.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoPortal> {
        if bytes.len() > Self::MAX_SIZE {
            return Err(NoPortal::Size);
        }
        let media_type = match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => "image/png",
            [0xff, 0xd8, 0xff, ..] => "image/jpeg",
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
            _ => return Err(NoPortal::Type),
        };
        Ok(Self { bytes: bytes.into(), media_type })
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub const fn media_type(&self) -> &'static str {
        self.media_type
    }
}

impl fmt::Debug for Logo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Logo({}, {} bytes)", self.media_type, self.bytes.len())
    }
}
