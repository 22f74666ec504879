//! Pages of a list. A page has a size, and starts after the last entry of the previous page. The page token holds that
//! entry and a hash of the list's filter.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// The largest page in bytes. gRPC clients accept messages of 4 MiB by default. If a request for a list of the
/// configuration has no size, the page has as many entries as fit, because older callers expect all of them.
pub const MAX_PAGE_BYTES: usize = 3 * 1024 * 1024;
/// The page size if the caller gives none.
const DEFAULT_SIZE: u32 = 50;
/// The largest page size.
const MAX_SIZE: u32 = 500;

/// A size or a token that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidPage {
    /// The field of the request.
    pub field: &'static str,
    pub problem: String,
}

fn invalid(field: &'static str, problem: impl Into<String>) -> InvalidPage {
    InvalidPage { field, problem: problem.into() }
}

/// The position of an entry in its list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub at: i64,
    pub id: String,
}

/// The requested part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    size: u32,
    cursor: Cursor,
}

/// The start of a page, and the list that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    after: Option<Place>,
    filter: u64,
}

impl Cursor {
    /// Reads the token of a request; `filter` is the filter of the list.
    pub fn read(token: &str, filter: impl Hash) -> Result<Self, InvalidPage> {
        let mut hasher = DefaultHasher::new();
        filter.hash(&mut hasher);
        let filter = hasher.finish();
        let after = if token.is_empty() { None } else { Some(read(token, filter)?) };
        Ok(Self { after, filter })
    }

    /// Checks a token whose filter is not known.
    pub fn check(token: &str) -> Result<(), InvalidPage> {
        if token.is_empty() { Ok(()) } else { decoded(token).map(drop) }
    }

    /// The last entry of the page before; `None` if this is the first one.
    pub const fn after(&self) -> Option<&Place> {
        self.after.as_ref()
    }

    /// The token of the page after the one that ends with this entry.
    pub fn next(&self, last: &Place) -> String {
        serde_json::to_vec(&(last, self.filter)).map(|json| URL_SAFE_NO_PAD.encode(json)).unwrap_or_default()
    }
}

impl Page {
    /// Reads size and token of a request; `filter` is the filter of the list.
    pub fn of(size: u32, token: &str, filter: impl Hash) -> Result<Self, InvalidPage> {
        Ok(Self::new(Self::size(size)?, Cursor::read(token, filter)?))
    }

    pub const fn new(size: u32, cursor: Cursor) -> Self {
        Self { size, cursor }
    }

    /// Reads the size of a request.
    pub fn size(given: u32) -> Result<u32, InvalidPage> {
        match given {
            0 => Ok(DEFAULT_SIZE),
            1..=MAX_SIZE => Ok(given),
            _ => Err(invalid("page_size", format!("{given} is not from 1 to {MAX_SIZE}"))),
        }
    }

    /// The last entry of the page before; `None` if this is the first one.
    pub const fn after(&self) -> Option<&Place> {
        self.cursor.after()
    }

    /// How many rows to read: one more than requested, which shows whether there is a next page.
    pub fn limit(&self) -> i64 {
        i64::from(self.size) + 1
    }

    /// Cuts the rows to the page. Returns the token of the next page, which is empty after the last page.
    pub fn cut<T>(&self, rows: &mut Vec<T>, place: impl FnOnce(&T) -> Place) -> String {
        self.cut_to_bytes(rows, |_| 0, place)
    }

    /// Like [`Self::cut`] for rows that may be large: the rows of a page have at most [`MAX_PAGE_BYTES`] together. A
    /// page has at least one row.
    pub fn cut_to_bytes<T>(
        &self,
        rows: &mut Vec<T>,
        bytes: impl Fn(&T) -> usize,
        place: impl FnOnce(&T) -> Place,
    ) -> String {
        let mut total = 0;
        let fits = rows.iter().take_while(|row| {
            total += bytes(row);
            total <= MAX_PAGE_BYTES
        });
        let size = fits.count().max(1).min(self.size as usize);
        if rows.len() <= size {
            return String::new();
        }
        rows.truncate(size);
        rows.last().map(place).map(|last| self.cursor.next(&last)).unwrap_or_default()
    }
}

fn read(token: &str, filter: u64) -> Result<Place, InvalidPage> {
    match decoded(token)? {
        (place, of) if of == filter => Ok(place),
        _ => Err(invalid("page_token", "belongs to a list with another filter")),
    }
}

fn decoded(token: &str) -> Result<(Place, u64), InvalidPage> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let decoded = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    decoded.ok_or_else(|| invalid("page_token", "was not issued by this server"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_valid_for_its_own_list_only() {
        let page = Page::of(2, "", "filter").unwrap();
        assert_eq!(page.limit(), 3);
        let mut rows = vec![1, 2, 3];
        let token = page.cut(&mut rows, |row| Place { at: i64::from(*row), id: "x".into() });
        assert_eq!(rows, [1, 2]);
        assert_eq!(Page::of(2, &token, "filter").unwrap().after().cloned(), Some(Place { at: 2, id: "x".into() }));
        assert!(Page::of(2, &token, "other").is_err());
        assert!(Page::of(2, "rubbish", "filter").is_err());
        assert!(Page::of(501, "", "filter").is_err());
        assert_eq!(page.cut(&mut vec![1, 2], |_| unreachable!()), "");
    }

    #[test]
    fn a_page_holds_fewer_rows_if_they_are_large() {
        let cut = |bytes: usize, rows: usize| {
            let (page, mut rows) = (Page::of(0, "", ()).unwrap(), vec![(); rows]);
            let token = page.cut_to_bytes(&mut rows, |()| bytes, |()| Place { at: 0, id: String::new() });
            (rows.len(), token.is_empty())
        };
        assert_eq!(cut(MAX_PAGE_BYTES / 10, 10), (10, true));
        assert_eq!(cut(MAX_PAGE_BYTES / 10, 11), (10, false));
        assert_eq!(cut(MAX_PAGE_BYTES * 2, 2), (1, false));
        assert_eq!(cut(1, 51), (50, false));
    }
}
