//! Stored facts: any bytes are refused, or are read as a value that is the same after it is stored and read again.

use std::fmt::Debug;

use bytes::Bytes;
use domain::{AnonymisationFact, DeliveryFact, JobFact, LeadEvent, NoticeFact, RegistryFact, Work};
use events::{ReaderPosition, Record};

pub fn facts(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    reads_or_refuses::<LeadEvent>(&bytes);
    reads_or_refuses::<DeliveryFact>(&bytes);
    reads_or_refuses::<RegistryFact>(&bytes);
    reads_or_refuses::<NoticeFact>(&bytes);
    reads_or_refuses::<JobFact>(&bytes);
    reads_or_refuses::<AnonymisationFact>(&bytes);
    reads_or_refuses::<Work>(&bytes);
    reads_or_refuses::<ReaderPosition>(&bytes);
}

fn reads_or_refuses<T: Record + PartialEq + Debug>(bytes: &Bytes) {
    match T::decode(bytes.clone()) {
        Ok(value) => match T::decode(value.encode()) {
            Ok(again) => assert_eq!(again, value, "{} changes when it is stored again", T::NAME),
            Err(error) => panic!("{} is unreadable after it is stored again: {error}: {value:?}", T::NAME),
        },
        Err(refused) => assert!(!refused.to_string().is_empty()),
    }
}
