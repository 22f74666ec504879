//! Prints lists, page by page.

use prost::{Message, Name};
use tonic::Status;

use super::{Paging, Session};
use crate::{
    remote::names::Names,
    terminal::{
        output::note,
        table::{Cell, Column, Table},
    },
};

/// The page size of lists.
const PAGE_SIZE: usize = 200;

impl Session {
    /// Prints a list up to the requested size. `page` reads a page, given a page size and a page token.
    pub(crate) async fn list<T: Message + Name>(
        &self,
        paging: &Paging,
        columns: impl Into<Vec<Column>>,
        row: impl Fn(&T) -> Vec<Cell>,
        page: impl AsyncFnMut(u32, String) -> Result<(Vec<T>, String), Status>,
    ) -> anyhow::Result<()> {
        if self.list_some(paging, columns, row, page).await? == 0 {
            note("There are none.");
        }
        Ok(())
    }

    /// Prints a list, and a hint about its entries unless the output is JSON.
    pub(crate) async fn list_with_hint<T: Message + Name>(
        &self,
        paging: &Paging,
        columns: impl Into<Vec<Column>>,
        row: impl Fn(&T) -> Vec<Cell>,
        page: impl AsyncFnMut(u32, String) -> Result<(Vec<T>, String), Status>,
        hint: &str,
    ) -> anyhow::Result<()> {
        match self.list_some(paging, columns, row, page).await? {
            0 => note("There are none."),
            _ if self.out.is_json() => {}
            _ => note(hint),
        }
        Ok(())
    }

    /// Prints a list. If it is empty, fails if one of the filter's names does not exist.
    pub(crate) async fn list_filtered<T: Message + Name>(
        &self,
        paging: &Paging,
        columns: impl Into<Vec<Column>>,
        row: impl Fn(&T) -> Vec<Cell>,
        page: impl AsyncFnMut(u32, String) -> Result<(Vec<T>, String), Status>,
        names: &Names<'_>,
    ) -> anyhow::Result<()> {
        if self.list_some(paging, columns, row, page).await? == 0 {
            names.check(self).await?;
            note("There are none.");
        }
        Ok(())
    }

    /// Prints a list up to the requested size; returns how many entries it has.
    async fn list_some<T: Message + Name>(
        &self,
        paging: &Paging,
        columns: impl Into<Vec<Column>>,
        row: impl Fn(&T) -> Vec<Cell>,
        mut page: impl AsyncFnMut(u32, String) -> Result<(Vec<T>, String), Status>,
    ) -> anyhow::Result<usize> {
        let mut left = if paging.all { usize::MAX } else { usize::try_from(paging.limit).unwrap_or(usize::MAX) };
        let (mut table, mut token, mut count) = (Table::new(columns), String::new(), 0);
        loop {
            let size = u32::try_from(left.min(PAGE_SIZE))?;
            let (found, next) = page(size, token).await?;
            count += found.len();
            left = left.saturating_sub(found.len());
            self.print_all(&mut table, &found, &row)?;
            token = next;
            if token.is_empty() {
                break;
            }
            if left == 0 {
                note("There are more: --limit N shows more of them, --all shows all.");
                break;
            }
        }
        Ok(count)
    }

    /// Prints a complete list.
    pub(crate) fn list_all<T: Message + Name>(
        &self,
        columns: impl Into<Vec<Column>>,
        row: impl Fn(&T) -> Vec<Cell>,
        all: &[T],
    ) -> anyhow::Result<()> {
        if all.is_empty() {
            note("There are none.");
        }
        self.print_all(&mut Table::new(columns), all, row)
    }

    fn print_all<T: Message + Name>(
        &self,
        table: &mut Table,
        found: &[T],
        row: impl Fn(&T) -> Vec<Cell>,
    ) -> anyhow::Result<()> {
        if self.out.is_json() {
            return found.iter().try_for_each(|one| self.out.json_line(one));
        }
        let rows: Vec<_> = found.iter().map(row).collect();
        if rows.is_empty() { Ok(()) } else { table.print(&self.out, &rows) }
    }
}
