//! Notice facts and the notifier's states are read back unchanged.

use domain::{
    AccountId, DeliveryId, DestinationId, ErrorKind, InterfaceId, LeadId, NoticeFact, NoticeId,
    notice::{
        About, DestinationHealth, DestinationState, ErrorCount, InterfaceState, LeadExample, LeadWindow,
        NoticeCalledFor, NoticeGivenUp, NoticeKind, NoticeReached, NoticeSent, ProblemAcknowledged, Window,
    },
    problem::Cause,
};
use events::Record;
use proptest::{option, prelude::*, sample::select};
use uuid::Uuid;

use crate::strategies::time;

fn ids() -> impl Strategy<Value = (AccountId, DestinationId)> {
    ("[a-z0-9_-]{1,64}", "[a-zA-Z0-9_-]{1,64}")
        .prop_map(|(account, id)| (AccountId::parse(&account).unwrap(), DestinationId::parse(&id).unwrap()))
}

fn survives<T: Record + PartialEq + std::fmt::Debug>(value: &T) {
    assert_eq!(T::decode(value.encode()).unwrap(), *value);
}

prop_compose! {
    fn window()(
        times in (time(), time(), option::of(time())),
        count in any::<u64>(),
        errors in prop::collection::vec((any::<u16>(), option::of(select(ErrorKind::ALL.to_vec())), any::<u64>()), 0..3),
        examples in any::<Vec<u64>>(),
    ) -> Window {
        let errors = errors.into_iter().map(|(status, kind, count)| ErrorCount { status, kind, count }).collect();
        Window { from: times.0, until: times.1, since: times.2, count, errors, examples }
    }
}

prop_compose! {
    fn lead_window()(
        times in (time(), time(), option::of(time())),
        count in any::<u64>(),
        examples in prop::collection::vec(("[a-z0-9:]{1,20}", time(), any::<u64>()), 0..3),
    ) -> LeadWindow {
        let examples = examples.into_iter().map(|(lead, received_at, sequence)| {
            LeadExample { lead: LeadId::parse(&lead).unwrap(), received_at, sequence }
        });
        LeadWindow { from: times.0, until: times.1, since: times.2, count, examples: examples.collect() }
    }
}

prop_compose! {
    fn watched()(
        ids in ids(),
        counts in any::<(u64, u32, bool)>(),
        window in option::of(window()),
        times in [option::of(time()), option::of(time()), option::of(time())],
        called in prop::collection::vec((any::<u128>(), time(), any::<bool>(), about()), 0..3),
    ) -> DestinationState {
        let (sequence, failures, alerted) = counts;
        let [failing_since, deactivated_at, last_alert] = times;
        let health = DestinationHealth { sequence, window, failures, failing_since, alerted, last_alert, deactivated_at };
        let account = ids.0;
        let pending = called.into_iter().map(|(notice, since, again, about)| {
            let (notice, account) = (NoticeId::from_uuid(Uuid::from_u128(notice)), account.clone());
            NoticeCalledFor { notice, account, since, again, about }
        });
        DestinationState { pending: pending.collect(), health, account, destination: ids.1 }
    }
}

fn about() -> impl Strategy<Value = About> {
    let parts = (ids(), any::<(u64, u32, bool, bool)>(), window(), time(), option::of(time()), lead_window());
    (0..6, parts).prop_map(|(which, ((_, destination), (sequence, failures, one, other), window, at, since, leads))| {
        match which {
            0 => About::Failure { destination, sequence },
            1 => About::FurtherFailures { destination, window },
            2 => About::RepeatedFailures { destination, failures, failing_since: at, sequence },
            3 => About::Recovery { destination, at, failing_since: since, was_alerted: one, was_deactivated: other },
            4 => About::FurtherLeads { interface: InterfaceId::parse("form").unwrap(), window: leads },
            _ => {
                let (interface, lead) = (InterfaceId::parse("form").unwrap(), LeadId::parse("crm:1").unwrap());
                About::Lead { interface, lead, sequence }
            }
        }
    })
}

fn notice_fact() -> impl Strategy<Value = NoticeFact> {
    let parts = (ids(), any::<u128>(), time(), any::<(bool, bool, Vec<String>, String)>());
    let about = (about(), select(NoticeKind::ALL.to_vec()));
    (0..5, about, parts).prop_map(|(which, (about, kind), ((account, id), number, at, texts))| {
        let notice = NoticeId::from_uuid(Uuid::from_u128(number));
        let (one, other, recipients, text) = texts;
        let (destination, lead) = (one.then_some(id), other.then(|| LeadId::parse("l").unwrap()));
        match which {
            0 => NoticeFact::CalledFor(NoticeCalledFor { notice, account, since: at, again: one, about }),
            1 => NoticeFact::Reached(NoticeReached { notice, account, recipient: text, at }),
            2 => {
                let delivery = one.then(|| DeliveryId::from_uuid(Uuid::from_u128(number)));
                let reason = text;
                let given_up =
                    NoticeGivenUp { notice, account, kind, destination, lead, delivery, recipients, reason, at };
                NoticeFact::GivenUp(given_up)
            }
            3 => {
                let (destination, cause) = (DestinationId::parse("d").unwrap(), Cause::Error(ErrorKind::Timeout));
                NoticeFact::Acknowledged(ProblemAcknowledged { account, destination, cause, by: text, at })
            }
            _ => {
                let subject = text;
                NoticeFact::Sent(NoticeSent { notice, account, kind, destination, lead, recipients, subject, at })
            }
        }
    })
}

proptest! {
    #[test]
    fn notice_facts_survive(value in notice_fact()) {
        survives(&value);
    }

    #[test]
    fn destination_health_survives(value in watched()) {
        survives(&value);
    }

    #[test]
    fn pending_lead_notices_survive(ids in ids(), sequence in any::<u64>(), window in option::of(lead_window())) {
        let interface = InterfaceId::parse("form").unwrap();
        survives(&InterfaceState { account: ids.0, interface, sequence, window });
    }

    #[test]
    fn random_bytes_do_not_panic(bytes in any::<Vec<u8>>()) {
        let _ = DestinationState::decode(bytes.clone().into());
        let _ = InterfaceState::decode(bytes.clone().into());
        let _ = NoticeFact::decode(bytes.into());
    }
}
