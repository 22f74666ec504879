//! Stored facts: whatever is stored, it is refused, or read as something that is the same when it is stored again.

use std::fmt::Debug;

use bytes::Bytes;
use domain::{AnonymisationFact, DeliveryFact, JobFact, LeadEvent, NoticeFact, RegistryFact, Work};
use events::{Position, Record};

/// Tries this input.
pub fn facts(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    reads_or_refuses::<LeadEvent>(&bytes);
    reads_or_refuses::<DeliveryFact>(&bytes);
    reads_or_refuses::<RegistryFact>(&bytes);
    reads_or_refuses::<NoticeFact>(&bytes);
    reads_or_refuses::<JobFact>(&bytes);
    reads_or_refuses::<AnonymisationFact>(&bytes);
    reads_or_refuses::<Work>(&bytes);
    reads_or_refuses::<Position>(&bytes);
}

fn reads_or_refuses<T: Record + PartialEq + Debug>(bytes: &Bytes) {
    match T::decode(bytes.clone()) {
        Ok(value) => match T::decode(value.encode()) {
            Ok(again) => assert_eq!(again, value, "{} is another one when it is stored again", T::NAME),
            Err(error) => panic!("{} cannot be read when it is stored again: {error}: {value:?}", T::NAME),
        },
        Err(refused) => assert!(!refused.to_string().is_empty()),
    }
}
