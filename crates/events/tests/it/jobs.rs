//! Job facts, and jobs as the read model keeps them, are read back unchanged. Damaged ones are refused, or decode to
//! values that can be stored.

use bytes::Bytes;
use domain::{
    AccountId, ClientId, DeliveryId, DeliveryStatus, DestinationId, EventId, InterfaceId, Job, JobFact, JobId, LeadId,
    LeadSequence,
    delivery::{DeliveryFilter, FailureReason, RetryRefusal},
    job::{
        Counts, Cursor, JobCancelRequested, JobFinished, JobOutcome, JobProgressed, JobRef, JobStarted, Pace, Plan,
        Progress, Recovery, Refused, Sample,
    },
    outcome::HttpStatusClass,
    registry::EventTypePattern,
};
use events::Record;
use proptest::{collection, option, prelude::*, sample::select};
use uuid::Uuid;

use crate::strategies::time;

fn delivery() -> impl Strategy<Value = DeliveryId> {
    any::<u128>().prop_map(|id| DeliveryId::from_uuid(Uuid::from_u128(id)))
}

fn destination() -> impl Strategy<Value = DestinationId> {
    "[A-Za-z0-9_-]{1,64}".prop_map(|text| DestinationId::parse(&text).unwrap())
}

fn reference() -> impl Strategy<Value = JobRef> {
    (any::<u128>(), "[A-Za-z0-9_-]{1,64}").prop_map(|(id, account)| JobRef {
        job: JobId::from_uuid(Uuid::from_u128(id)),
        account: AccountId::parse(&account).unwrap(),
    })
}

fn status() -> impl Strategy<Value = DeliveryStatus> {
    select(DeliveryStatus::ALL.to_vec())
}

fn why() -> impl Strategy<Value = RetryRefusal> {
    prop_oneof![
        status().prop_map(RetryRefusal::NotFailed),
        select(vec![
            RetryRefusal::LeadAnonymised,
            RetryRefusal::InterfaceDeleted,
            RetryRefusal::DestinationDeleted,
            RetryRefusal::PayloadGone,
            RetryRefusal::Unknown,
        ]),
    ]
}

prop_compose! {
    fn filter()(
        texts in option::of("[A-Za-z0-9_-]{1,64}"),
        destination in option::of(destination()),
        event_type in option::of("[a-z]{1,10}(\\.\\*)?"),
        statuses in collection::vec(status(), 0..3),
        failure in option::of(select(FailureReason::ALL.to_vec())),
        http_status in option::of(any::<u16>()),
        class in option::of(1_u32..=5),
        times in (option::of(time()), option::of(time())),
    ) -> DeliveryFilter {
        let text = texts.as_deref();
        DeliveryFilter {
            account: text.map(|text| AccountId::parse(text).unwrap()),
            interface: text.map(|text| InterfaceId::parse(text).unwrap()),
            destination,
            lead: text.map(|text| LeadId::parse(text).unwrap()),
            event_id: text.map(|text| EventId::parse(text).unwrap()),
            event_type: event_type.map(|text| EventTypePattern::parse(&text).unwrap()),
            client: text.map(|text| ClientId::parse(text).unwrap()),
            statuses,
            failure,
            http_status,
            http_status_class: class.and_then(HttpStatusClass::new),
            requested_from: times.0,
            requested_before: times.1,
        }
    }
}

fn plan() -> impl Strategy<Value = Plan> {
    let recovery = (destination(), time(), option::of(time()), any::<bool>(), any::<u64>());
    let types = || vec![EventTypePattern::parse("email.*").unwrap(); 2];
    prop_oneof![
        collection::vec(delivery(), 0..20).prop_map(|ids| Plan::RetryListed(ids.into())),
        filter().prop_map(|filter| Plan::RetryFiltered(Box::new(filter))),
        recovery.prop_map(move |(destination, since, until, include_before_created, end)| {
            let event_types = if include_before_created { types() } else { vec![] };
            let end = LeadSequence(end);
            Plan::Recover(Recovery { destination, since, until, include_before_created, event_types, end })
        }),
    ]
}

fn counts() -> impl Strategy<Value = Counts> {
    let numbers = any::<(u64, u64, u64, u64, u64)>();
    (numbers, collection::btree_map(why(), any::<u64>(), 0..6)).prop_map(|(numbers, refused)| {
        let (examined, retried, requested, had, before_created) = numbers;
        Counts { examined, retried, requested, had, before_created, refused }
    })
}

fn cursor() -> impl Strategy<Value = Cursor> {
    prop_oneof![
        Just(Cursor::Start),
        any::<u32>().prop_map(Cursor::Listed),
        (time(), delivery()).prop_map(|(at, id)| Cursor::After(at, id)),
        any::<u64>().prop_map(|sequence| Cursor::Event(LeadSequence(sequence))),
    ]
}

fn sample() -> impl Strategy<Value = Sample> {
    (delivery(), "[A-Za-z0-9_:-]{1,128}")
        .prop_map(|(delivery, text)| Sample { delivery, event_id: EventId::parse(&text).unwrap() })
}

fn progress() -> impl Strategy<Value = Progress> {
    (1_u32.., cursor(), counts(), collection::vec(sample(), 0..5)).prop_map(|(step, cursor, counts, sample)| Progress {
        step,
        cursor,
        counts,
        sample,
    })
}

fn started() -> impl Strategy<Value = JobStarted> {
    let pace = (1..=Pace::FASTEST).prop_map(|number| Pace::per_second(number).unwrap());
    (reference(), plan(), any::<bool>(), pace, any::<String>(), time()).prop_map(
        |(reference, plan, dry_run, pace, by, at)| {
            let (force, reason) = (!dry_run, by.to_uppercase());
            JobStarted { reference, plan, dry_run, pace, force, by, reason, at }
        },
    )
}

fn finished() -> impl Strategy<Value = JobFinished> {
    (reference(), select(JobOutcome::ALL.to_vec()), counts(), time())
        .prop_map(|(reference, outcome, counts, at)| JobFinished { reference, outcome, counts, at })
}

fn progressed() -> impl Strategy<Value = JobProgressed> {
    let refused = collection::vec((delivery(), why()).prop_map(|(delivery, why)| Refused { delivery, why }), 0..5);
    (reference(), progress(), refused, time()).prop_map(|(reference, progress, refused, at)| JobProgressed {
        reference,
        progress,
        refused,
        at,
    })
}

fn cancelled() -> impl Strategy<Value = JobCancelRequested> {
    (reference(), any::<String>(), time()).prop_map(|(reference, by, at)| JobCancelRequested { reference, by, at })
}

fn fact() -> impl Strategy<Value = JobFact> {
    prop_oneof![
        started().prop_map(JobFact::Started),
        progressed().prop_map(JobFact::Progressed),
        cancelled().prop_map(JobFact::CancelRequested),
        finished().prop_map(JobFact::Finished),
    ]
}

fn job() -> impl Strategy<Value = Job> {
    let history = (started(), option::of(progressed()), option::of(cancelled()), option::of(finished()));
    history.prop_map(|(started, progressed, cancelled, finished)| {
        let reference = started.reference.clone();
        let facts = [
            Some(JobFact::Started(started)),
            progressed.map(|f| JobFact::Progressed(JobProgressed { reference: reference.clone(), ..f })),
            cancelled.map(|f| JobFact::CancelRequested(JobCancelRequested { reference: reference.clone(), ..f })),
            finished.map(|f| JobFact::Finished(JobFinished { reference: reference.clone(), ..f })),
        ];
        facts.iter().flatten().fold(None, |job, fact| Some(Job::evolve(job, fact).unwrap())).unwrap()
    })
}

/// A readable record can be stored again.
fn reads_or_refuses<T: Record + PartialEq + std::fmt::Debug>(bytes: Bytes) {
    if let Ok(value) = T::decode(bytes) {
        assert_eq!(T::decode(value.encode()).unwrap(), value);
    }
}

proptest! {
    #[test]
    fn job_facts_survive(value in fact()) {
        prop_assert_eq!(JobFact::decode(value.encode()).unwrap(), value);
    }

    #[test]
    fn jobs_survive(value in job()) {
        prop_assert_eq!(Job::decode(value.encode()).unwrap(), value);
    }

    #[test]
    fn damaged_jobs_are_refused_or_decode_to_storable_ones(
        value in fact(),
        damage in collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = value.encode().to_vec();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        reads_or_refuses::<JobFact>(bytes.clone().into());
        reads_or_refuses::<Job>(bytes.into());
    }

    #[test]
    fn truncated_job_facts_do_not_panic(value in fact(), end in any::<prop::sample::Index>()) {
        let bytes = value.encode();
        reads_or_refuses::<JobFact>(bytes.slice(..end.index(bytes.len())));
    }
}

#[test]
fn empty_bytes_are_neither_a_fact_nor_a_job() {
    assert!(JobFact::decode(Bytes::new()).is_err());
    assert!(Job::decode(Bytes::new()).is_err());
}
