//! The corpus and inputs near it: a bounded run of the fuzz targets in `fuzz/`.
#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::{fs, path::Path};

use inputs::{ALL, Input};
use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, TestRunner},
};

/// The number of changed inputs for each entry point.
const TRIES: u32 = 400;

/// A change of an input.
#[derive(Debug, Clone)]
enum Mutation {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    /// A piece of another input.
    Splice(Index, Index, Index, usize),
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let files = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5, "{name} has a corpus");
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

fn change() -> impl Strategy<Value = Mutation> {
    // Pieces that often break parsers.
    let pieces = select(vec![
        &b"\0"[..],
        b"\xff",
        b"\xf0\x9f\xa6\x80",
        b"\"",
        b"\\u0000",
        b"\\ud800",
        b"{",
        b"}",
        b"[",
        b"]",
        b"{{",
        b"}}",
        b"{%",
        b"%}",
        b"{% for x in range(99999) %}",
        b"999999999999999999999",
        b"-1",
        b"1e999",
        b"0x",
        b"%00",
        b"@",
        b"//",
        b"::",
        b"\n",
        b"\x0a\x7f",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ]);
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (any::<Index>(), pieces).prop_map(|(at, piece)| Mutation::Insert(at, piece.to_vec())),
        (any::<Index>(), 1..8_usize).prop_map(|(at, count)| Mutation::Remove(at, count)),
        (any::<Index>(), 1..64_usize).prop_map(|(at, count)| Mutation::Repeat(at, count)),
        (any::<Index>(), any::<Index>(), any::<Index>(), 1..64_usize)
            .prop_map(|(at, other, from, count)| Mutation::Splice(at, other, from, count)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Mutation, corpus: &[Vec<u8>]) {
    let place = |at: &Index| at.index(bytes.len() + 1);
    match change {
        Mutation::Set(at, byte) if !bytes.is_empty() => *at.get_mut(bytes) = *byte,
        Mutation::Set(..) => {}
        Mutation::Insert(at, piece) => {
            let at = place(at);
            bytes.splice(at..at, piece.iter().copied());
        }
        Mutation::Remove(at, count) => {
            let at = place(at);
            bytes.drain(at..(at + count).min(bytes.len()));
        }
        Mutation::Repeat(at, count) => {
            let at = place(at);
            let piece = bytes[at..(at + count).min(bytes.len())].to_vec();
            bytes.splice(at..at, piece);
        }
        Mutation::Splice(at, other, from, count) => {
            let (at, other) = (place(at), other.get(corpus));
            let from = from.index(other.len() + 1);
            bytes.splice(at..at, other[from..(from + count).min(other.len())].iter().copied());
        }
    }
}

fn holds((name, promise): Input) {
    let corpus = corpus(name);
    corpus.iter().for_each(|bytes| promise(bytes));
    let near = (select(corpus.clone()), prop::collection::vec(change(), 1..6)).prop_map(|(mut bytes, changes)| {
        changes.iter().for_each(|change| apply(&mut bytes, change, &corpus));
        bytes
    });
    let any_at_all = any::<Vec<u8>>();
    let mut runner = TestRunner::new(Config { cases: TRIES, failure_persistence: None, ..Config::default() });
    let tried = runner.run(&prop_oneof![9 => near, 1 => any_at_all], |bytes| {
        promise(&bytes);
        Ok(())
    });
    tried.unwrap_or_else(|e| panic!("{name}: {e}"));
}

#[test]
fn every_promise_about_untrusted_input_holds() {
    std::thread::scope(|scope| {
        for input in ALL {
            scope.spawn(move || holds(input));
        }
    });
}

/// The promises are not trivial: each corpus has accepted and refused inputs.
#[test]
fn corpus_has_accepted_and_refused_inputs() {
    let check = |name: &str, is_accepted: &dyn Fn(&[u8]) -> bool| {
        assert!(corpus(name).iter().any(|bytes| is_accepted(bytes)), "{name}");
        assert!(corpus(name).iter().any(|bytes| !is_accepted(bytes)), "{name}");
    };
    let body = |bytes: &[u8]| bytes::Bytes::copy_from_slice(bytes);
    check("ingest_json", &|bytes| ingest::read_body(&body(bytes), false, 4_096).iter().any(Result::is_ok));
    check("facts", &|bytes| <domain::DeliveryFact as events::Record>::decode(body(bytes)).is_ok());
    check("retry_after", &|bytes| {
        let Ok(value) = http::HeaderValue::from_bytes(bytes) else { return false };
        dispatcher::retry_after(&http::HeaderMap::from_iter([(http::header::RETRY_AFTER, value)])).is_some()
    });
    check("addresses", &|bytes| {
        let url = std::str::from_utf8(bytes).ok().and_then(|host| url::Url::parse(&format!("http://{host}/")).ok());
        url.is_some_and(|url| dispatcher::may_be_called(&url))
    });
}
