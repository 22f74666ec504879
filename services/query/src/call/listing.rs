//! Pages of lists: what a request says about its page, and the pages of a list in memory. Such a page is in the order
//! of the ids, and small enough for every gRPC client.

use std::hash::Hash;

use api::request::{Violations, WrongField};
use prost::Message;
use read_model::page::{Cursor, InvalidPage, MAX_PAGE_BYTES, Page, Place};
use tonic::Status;

/// The largest page size that a caller may request for a list in memory.
const MAX_PAGE_SIZE: u32 = 1_000;

/// Reads size and token of a page of the read model, and notes what is wrong. `filter` is the filter of the list;
/// `None` if it is wrong itself.
pub(crate) fn page(fields: &mut Violations, size: u32, token: &str, filter: Option<impl Hash>) -> Option<Page> {
    let size = fields.note(Page::size(size).map_err(wrong));
    let cursor = cursor(fields, token, filter);
    Some(Page::new(size?, cursor?))
}

/// A page that the server reads for itself.
pub(crate) fn own_page(size: u32, token: &str, filter: impl Hash) -> Result<Page, Status> {
    Page::of(size, token, filter).map_err(|e| wrong(e).into())
}

fn cursor(fields: &mut Violations, token: &str, filter: Option<impl Hash>) -> Option<Cursor> {
    match filter {
        Some(filter) => fields.note(Cursor::read(token, filter).map_err(wrong)),
        None => {
            fields.note(Cursor::check(token).map_err(wrong));
            None
        }
    }
}

fn wrong(error: InvalidPage) -> WrongField {
    WrongField::new(error.field, error.problem)
}

/// The requested part of a list in memory.
pub(crate) struct Listing {
    size: usize,
    cursor: Cursor,
}

impl Listing {
    /// Reads size and token of a request, and notes what is wrong. `filter` is the name of the list and its filter;
    /// `None` if it is wrong itself.
    pub(crate) fn of(fields: &mut Violations, size: u32, token: &str, filter: Option<impl Hash>) -> Option<Self> {
        if size > MAX_PAGE_SIZE {
            fields.wrong("page_size", format!("{size} is not from 1 to {MAX_PAGE_SIZE}"));
        }
        let size = if size == 0 { usize::MAX } else { size as usize };
        Some(Self { size, cursor: cursor(fields, token, filter)? })
    }

    /// The entries of the page and the token of the next one, which is empty if there is none. `entries` are in the
    /// order of their ids. A page has at least one entry, unless no entry is left.
    pub(crate) fn cut<'a, D: 'a, T: Message>(
        self,
        entries: impl Iterator<Item = &'a D>,
        id: impl Fn(&D) -> &str,
        to_api: impl Fn(&D) -> T,
    ) -> (Vec<T>, String) {
        let after = self.cursor.after().map(|place| place.id.clone());
        let left = entries.skip_while(|entry| after.as_deref().is_some_and(|after| id(entry) <= after));
        let (mut page, mut bytes, mut last) = (vec![], 0, None);
        for entry in left {
            let shown = to_api(entry);
            bytes += shown.encoded_len();
            if let Some(last) = last
                && (page.len() == self.size || bytes > MAX_PAGE_BYTES)
            {
                return (page, self.cursor.next(&Place { at: 0, id: id(last).to_owned() }));
            }
            page.push(shown);
            last = Some(entry);
        }
        (page, String::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(size: u32, token: &str, all: &[String]) -> (Vec<String>, String) {
        let mut fields = Violations::default();
        let listing = Listing::of(&mut fields, size, token, Some("filter"));
        fields.end(|| listing).unwrap().cut(all.iter(), |text| text, String::clone)
    }

    #[test]
    fn pages_follow_each_other_and_are_bounded_by_count_and_bytes() {
        let all: Vec<_> = (0..10).map(|n| format!("{n}{}", "x".repeat(MAX_PAGE_BYTES / 4))).collect();
        for (size, expected) in [(0, &[3, 3, 3, 1][..]), (2, &[2, 2, 2, 2, 2]), (1_000, &[3, 3, 3, 1])] {
            let (mut token, mut seen, mut pages) = (String::new(), vec![], vec![]);
            loop {
                let (found, next) = page(size, &token, &all);
                pages.push(found.len());
                seen.extend(found);
                token = next;
                if token.is_empty() {
                    break;
                }
            }
            assert_eq!((seen, &pages[..]), (all.clone(), expected), "page_size {size}");
        }
    }

    #[test]
    fn an_entry_larger_than_a_page_gets_its_own_page() {
        let all = ["a", "b"].map(|id| format!("{id}{}", "x".repeat(MAX_PAGE_BYTES)));
        let (first, next) = page(0, "", &all);
        assert_eq!((first.len(), page(0, &next, &all).0.len()), (1, 1));
    }

    #[test]
    fn a_deletion_between_two_pages_shifts_no_entry() {
        let all = ["a", "b", "c", "d"].map(str::to_owned);
        let (_, next) = page(2, "", &all);
        assert_eq!(
            page(2, &next, &["a".to_owned(), "c".to_owned(), "d".to_owned()]),
            (vec!["c".into(), "d".into()], String::new())
        );
        let mut fields = Violations::default();
        let listing = Listing::of(&mut fields, 1_001, &next, Some("other"));
        let refused = fields.end(|| listing).map(drop).unwrap_err();
        assert!(refused.message().starts_with("page_size: 1001 is") && refused.message().contains("; page_token: "));
    }
}
