//! Fan-out: the number of destinations that one event may reach.
//!
//! Each pattern becomes a key: its beginning (`email.` for `email.*`, the empty text for `*`), or the one type that it
//! matches. For each key, the keys of all wider patterns are computed and looked up. So patterns are not compared with
//! each other, and the answer is immediate even for thousands of destinations with a hundred patterns each.

use std::collections::{HashMap, HashSet};

use crate::{
    ids::EventType,
    registry::entities::{
        account::Routing,
        destination::{Destination, EventTypePattern, Scope},
    },
};

/// The maximum number of destinations that get an event which `new` also gets, `new` included. A disabled destination
/// counts, because its deliveries are held.
pub(in crate::registry) fn fan_out(all: &[&Destination], routing: Routing, new: &Destination) -> usize {
    let others = || all.iter().copied().filter(|other| other.id != new.id);
    let wanted = keys(new);
    // An event goes to the destinations of its own level and, with the routing `all`, to those of the account.
    let is_counted = |scope: &Scope| *scope == new.scope || (routing == Routing::All && *scope == Scope::Account);
    let mut counts = HashMap::<&str, usize>::new();
    for other in others().filter(|other| is_counted(&other.scope)) {
        let keys = keys(other);
        // If patterns of a destination cover each other, only the widest counts, so that the destination counts once
        // for each event.
        let widest = keys.iter().filter(|key| covering(key).all(|wider| wider == **key || !keys.contains(wider)));
        widest.for_each(|key| *counts.entry(*key).or_default() += 1);
    }
    let of_type = |key: &&str| covering(key).filter_map(|wider| counts.get(wider)).sum::<usize>();
    let candidates = wanted.iter().chain(counts.keys().filter(|key| covering(key).any(|wider| wanted.contains(wider))));
    let counted = candidates.map(of_type).max().unwrap_or(0);
    if routing == Routing::Override {
        return 1 + counted;
    }
    // The other levels are not counted exactly. An event reaches at most one client and one interface, so the largest
    // group of each level is added.
    let below = others().filter(|other| !is_counted(&other.scope) && overlap(&keys(other), &wanted));
    1 + counted + largest(below.map(|other| &other.scope), &[new.scope.level(), Scope::Account.level()])
}

/// An upper bound of the fan-out of any event with the routing `all`. It ignores the patterns of the destinations.
pub(in crate::registry) fn fan_out_of_all<'a>(all: impl Iterator<Item = &'a Destination>) -> usize {
    largest(all.map(|destination| &destination.scope), &[])
}

/// The largest number of destinations with the same scope, summed over every level except these.
fn largest<'a>(scopes: impl Iterator<Item = &'a Scope>, except: &[u8]) -> usize {
    let mut at = HashMap::<&Scope, usize>::new();
    scopes.for_each(|scope| *at.entry(scope).or_default() += 1);
    let of_level = |level: u8| at.iter().filter(|(scope, _)| scope.level() == level).map(|(_, count)| *count).max();
    Scope::LEVELS.filter(|level| !except.contains(level)).filter_map(of_level).sum()
}

/// The patterns of a destination as keys.
fn keys(destination: &Destination) -> HashSet<&str> {
    let texts = destination.event_types.iter().map(EventTypePattern::as_str);
    texts.map(|text| text.strip_suffix('*').unwrap_or(text)).collect()
}

/// The keys of all patterns that match every type that `key` matches, `key` included.
fn covering(key: &str) -> impl Iterator<Item = &str> {
    let beginnings = key.match_indices('.').map(|(at, _)| &key[..=at]);
    // `*` does not match the types of operational events.
    let any = (!key.starts_with(EventType::OPERATIONAL)).then_some("");
    let exact = (!key.is_empty() && !key.ends_with('.')).then_some(key);
    any.into_iter().chain(beginnings).chain(exact)
}

fn overlap(one: &HashSet<&str>, other: &HashSet<&str>) -> bool {
    let under = |these: &HashSet<&str>, those: &HashSet<&str>| {
        these.iter().any(|key| covering(key).any(|wider| those.contains(wider)))
    };
    under(one, other) || under(other, one)
}
