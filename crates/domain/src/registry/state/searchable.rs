//! The searchable fields of an account.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    registry::state::account_entry::AccountEntry,
    search::{FieldName, Kind, Wanted},
    text::quoted,
};

impl AccountEntry {
    /// The searchable fields of its interfaces. Deleted interfaces are included, because their leads are still listed.
    fn searchable(&self) -> BTreeMap<&FieldName, BTreeSet<Kind>> {
        let mut known: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for field in self.interfaces().flat_map(|interface| &interface.searchable) {
            known.entry(&field.name).or_default().insert(field.kind);
        }
        known
    }

    /// The search for these names and values. If a field has different kinds at different interfaces, its value is read
    /// as each of them.
    ///
    /// # Errors
    /// The problem of each name or value that cannot be searched. Values are not repeated, because they are about
    /// people.
    pub fn wanted<'a>(&self, given: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Vec<Wanted>, Vec<String>> {
        let known = self.searchable();
        let (mut wanted, mut problems) = (vec![], vec![]);
        for (name, value) in given {
            let Some((field, kinds)) = known.iter().find(|(field, _)| field.as_str() == name) else {
                problems.push(format!(
                    "{} is not a searchable field of account {}; {}",
                    quoted(name),
                    self.account.id,
                    listed(&known)
                ));
                continue;
            };
            let normal: BTreeSet<_> = kinds.iter().filter_map(|kind| kind.normal(value)).collect();
            if normal.is_empty() {
                let kinds: Vec<_> = kinds.iter().map(|kind| kind.article()).collect();
                problems.push(format!("the value of {name} is not {}", kinds.join(" or ")));
                continue;
            }
            wanted.push(Wanted { field: (*field).clone(), normal });
        }
        if problems.is_empty() { Ok(wanted) } else { Err(problems) }
    }
}

fn listed(known: &BTreeMap<&FieldName, BTreeSet<Kind>>) -> String {
    if known.is_empty() {
        return "its interfaces name none (leadline interfaces update --searchable)".to_owned();
    }
    let names: Vec<_> = known.keys().map(|name| name.as_str()).collect();
    format!("its searchable fields are {}", names.join(", "))
}
