//! Facts of older versions, byte for byte: missing fields have defined meanings.

use domain::{
    RegistryFact,
    policy::Deactivate,
    registry::{Change, DeactivationCause, Format, RequestShape},
};
use events::Record as _;

/// A length-delimited field of protobuf: a text or a message.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let tag = u32::from(number) << 3 | 2;
    [&varint(tag)[..], &varint(u32::try_from(content.len()).unwrap()), content].concat()
}

fn number(number: u8, value: u32) -> Vec<u8> {
    [varint(u32::from(number) << 3), varint(value)].concat()
}

fn varint(mut value: u32) -> Vec<u8> {
    let mut bytes = vec![];
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn decoded(change: u8, content: &[u8]) -> Change {
    RegistryFact::decode([number(1, 7), field(2, b"me"), field(change, content)].concat().into()).unwrap().change
}

#[test]
fn flag_of_an_older_policy_means_its_successor_rule() {
    for (flag, rule) in [(Some(true), Deactivate::IfNothingSucceeded), (None, Deactivate::Never)] {
        let policy = flag.map_or(vec![], |flag| number(8, flag.into()));
        let stored = [
            field(1, b"acme"),
            field(2, b"dst_1"),
            field(5, b"https://crm.example/"),
            field(6, b"*"),
            number(7, 15_000_000),
            number(8, 32),
            field(9, &policy),
            number(11, 1),
        ];
        let Change::DestinationCreated(destination) = decoded(16, &stored.concat()) else { panic!("a destination") };
        assert_eq!(destination.retry.deactivate, rule);
        // Content type, form and second signature are missing, too: the destination POSTs the payload as
        // application/json.
        assert_eq!(destination.request, RequestShape::default());
        assert_eq!(destination.request.format(), Format::Json);
    }
}

#[test]
fn older_deactivation_has_no_delivery() {
    let stored = [field(1, b"acme"), field(2, b"dst_1"), number(3, 9), field(4, b"exhausted"), number(5, 8)];
    let Change::DestinationDeactivated(_, _, why) = decoded(24, &stored.concat()) else { panic!("a deactivation") };
    assert_eq!((why.cause, why.delivery), (DeactivationCause::Exhausted, None));
    assert_eq!(why.first_failed_at.map(|at| at.as_microsecond()), Some(8));
}
