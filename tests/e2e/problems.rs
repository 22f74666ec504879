//! Problems by destination and cause, and the health of destinations.

use std::time::Duration;

use api::{
    CountBucket, DeliveryStatus, HealthState, LaneState, ProblemState, problem_service_client::ProblemServiceClient,
};
use serde_json::json;
use testkit::{Answer, Receiver, wait};
use tonic::Code;

use crate::{
    rebuild,
    world::{ACCOUNT, INTERFACE, SOON, World, read_json, retries, some_destination},
};

async fn problems(world: &World, include_closed: bool) -> Vec<api::Problem> {
    let request =
        api::ListProblemsRequest { account_id: ACCOUNT.into(), include_closed, ..api::ListProblemsRequest::default() };
    ProblemServiceClient::new(world.channel()).list_problems(request).await.unwrap().into_inner().problems
}

/// The only problem, once it has a state.
async fn problem_is(world: &World, state: ProblemState) -> api::Problem {
    wait::until(&format!("a problem that is {}", state.as_str_name()), SOON, async || {
        let found = problems(world, true).await;
        match found.as_slice() {
            [only] if only.state() == state => Ok(only.clone()),
            _ => Err(found),
        }
    })
    .await
}

async fn acknowledge(world: &World, destination: &str, cause: &str) -> Result<api::Problem, tonic::Status> {
    let request = api::AcknowledgeProblemRequest {
        account_id: ACCOUNT.into(),
        destination_id: destination.into(),
        cause: cause.into(),
        requested_by: "Grace".into(),
    };
    let mut client = ProblemServiceClient::new(world.channel());
    client.acknowledge_problem(request).await.map(tonic::Response::into_inner)
}

async fn health(world: &World, destination: &str) -> api::DestinationHealth {
    let request = api::GetDestinationHealthRequest { account_id: ACCOUNT.into(), destination_id: destination.into() };
    ProblemServiceClient::new(world.channel()).get_destination_health(request).await.unwrap().into_inner()
}

async fn counts(world: &World, bucket: CountBucket) -> Vec<api::DeliveryCounts> {
    let request = api::QueryDeliveryCountsRequest {
        account_id: ACCOUNT.into(),
        bucket: bucket.into(),
        ..api::QueryDeliveryCountsRequest::default()
    };
    ProblemServiceClient::new(world.channel()).query_delivery_counts(request).await.unwrap().into_inner().counts
}

/// All stored data about problems and health.
async fn everything(world: &World, destination: &str) -> String {
    let mut of = health(world, destination).await;
    // These fields depend on the time of the call.
    (of.summary, of.since) = (String::new(), None);
    let mut text = format!("{:#?}\n{of:#?}\n", problems(world, true).await);
    for bucket in [CountBucket::FiveMinutes, CountBucket::Hour, CountBucket::Day] {
        text.push_str(&format!("{:#?}\n", counts(world, bucket).await));
    }
    text
}

#[tokio::test]
async fn problem_opens_is_acknowledged_recovers_and_closes() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        let id = world.destination(&receiver.url()).await;
        receiver.answer(Answer::Status(503));
        for event in ["a", "b"] {
            world.publish(event).await;
            world.delivery_is(event, DeliveryStatus::Failed).await;
        }
        let open = problem_is(&world, ProblemState::Open).await;
        assert_eq!((open.cause.as_str(), open.deliveries, open.leads), ("503", 2, 2));
        assert_eq!((open.destination_id.as_str(), open.held), (id.as_str(), false));
        assert!(open.suggested_action.contains("failed on its side"), "{}", open.suggested_action);
        let example = world.delivery("b").await.delivery.unwrap().delivery_id;
        assert_eq!(open.example_delivery_id, example);
        assert!(open.first_at.unwrap().seconds <= open.last_at.unwrap().seconds);

        let acknowledged = acknowledge(&world, &id, "503").await.unwrap();
        assert_eq!(acknowledged.state(), ProblemState::Acknowledged);
        assert!(acknowledged.acknowledged_by.ends_with("for Grace"), "{acknowledged:?}");
        assert_eq!(acknowledge(&world, &id, "504").await.unwrap_err().code(), Code::NotFound);
        assert_eq!(acknowledge(&world, &id, "nonsense").await.unwrap_err().code(), Code::InvalidArgument);

        world.disable(&id).await;
        assert!(problem_is(&world, ProblemState::Acknowledged).await.held);
        receiver.answer(Answer::Status(200));
        world.enable(&id, false).await;
        world.publish("c").await;
        world.delivery_is("c", DeliveryStatus::Succeeded).await;
        let recovering = problem_is(&world, ProblemState::Recovering).await;
        assert_eq!((recovering.deliveries, recovering.held), (2, false));
        assert!(recovering.acknowledged_by.ends_with("for Grace"));
        for event in ["a", "b"] {
            world.retry(event).await.unwrap();
            world.delivery_is(event, DeliveryStatus::Succeeded).await;
        }
        let closed = problem_is(&world, ProblemState::Closed).await;
        assert_eq!((closed.deliveries, closed.leads), (0, 0));
        assert!(closed.closed_at.is_some());
        assert_eq!(problems(&world, false).await, []);
        assert_eq!(acknowledge(&world, &id, "503").await.unwrap_err().code(), Code::NotFound);

        // The same cause later is another problem, without an acknowledgement.
        receiver.answer(Answer::Status(503));
        world.publish("d").await;
        world.delivery_is("d", DeliveryStatus::Failed).await;
        let again = problem_is(&world, ProblemState::Open).await;
        assert_eq!((again.deliveries, again.acknowledged_by.as_str()), (1, ""));

        let projected = everything(&world, &id).await;
        let addresses = read_json(&world.home.data().join("addresses.json")).unwrap();
        rebuild::rebuild(&world.nats, addresses["database"].as_str().unwrap());
        assert_eq!(everything(&world, &id).await, projected, "rebuilt");
    }
}

#[tokio::test]
async fn failures_are_grouped_by_cause_and_decisions_do_not_count() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let id = world.destination(&receiver.url()).await;
    receiver.answer_next([Answer::Status(404), Answer::Status(404), Answer::Status(422)]);
    for (event, lead) in [("a", "ada"), ("b", "ada"), ("c", "grace")] {
        world.publish_with(event, serde_json::json!({"lead_id": lead})).await;
        world.delivery_is(event, DeliveryStatus::Failed).await;
    }
    let found = wait::until("two causes", SOON, async || {
        let found = problems(&world, false).await;
        if found.len() == 2 { Ok(found) } else { Err(found) }
    })
    .await;
    let groups: Vec<_> = found.iter().map(|p| (p.cause.as_str(), p.deliveries, p.leads)).collect();
    assert_eq!(groups, [("422", 1, 1), ("404", 2, 1)], "the latest failure first");
    let request = api::AnonymizeLeadsRequest {
        account_id: ACCOUNT.into(),
        lead_ids: vec!["grace".into()],
        ..api::AnonymizeLeadsRequest::default()
    };
    world.leads().anonymize_leads(request).await.unwrap();
    // A failed test is reported to its caller, and is not a problem.
    receiver.answer(Answer::Status(500));
    world.run(&["destinations", "test", &id]).await;
    assert!(problems(&world, true).await.iter().all(|problem| problem.cause != "500"));

    let ran = world.run(&["problems"]).await.well();
    assert_eq!(ran.out.lines().count(), 3, "{}", ran.out);
    let shown = world.run(&["problems", "show", "CRM", "404"]).await.well();
    assert_eq!(shown.fact("deliveries"), "2 of 1 lead");
    assert!(shown.fact("to do").contains("does not know the URL"), "{}", shown.out);
    let ran = world.run(&["problems", "ack", "CRM", "404"]).await.well();
    assert_eq!(ran.fact("state"), "acknowledged");
    assert_eq!(world.run(&["problems", "show", "CRM", "599"]).await.code, 1);
}

#[tokio::test]
async fn health_shows_failures_waiting_work_and_who_disabled() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let policy = Some(retries(&[Duration::from_secs(3_600)]));
    let crm = api::Destination { url: receiver.url(), retry_policy: policy, ..some_destination() };
    let id = world.destination_with(crm).await;
    let idle = health(&world, &id).await;
    assert_eq!((idle.state(), idle.attempts, idle.p50), (HealthState::Idle, 0, None));
    for event in ["a", "b", "c", "d"] {
        world.publish(event).await;
        world.delivery_is(event, DeliveryStatus::Succeeded).await;
    }
    let good = health(&world, &id).await;
    assert_eq!((good.state(), good.succeeded, good.attempts), (HealthState::Healthy, 4, 4));
    assert_eq!(good.lane.unwrap().state(), LaneState::Open);
    assert!(good.p50.is_some() && good.last_success_at.is_some());

    receiver.answer(Answer::Status(500));
    for event in ["e", "f", "g"] {
        world.publish(event).await;
        world.delivery_is(event, DeliveryStatus::Retrying).await;
    }
    let bad = health(&world, &id).await;
    assert_eq!((bad.state(), bad.failures_in_a_row, bad.failed_attempts), (HealthState::Failing, 3, 3));
    assert_eq!((bad.waiting, bad.held, bad.failed), (3, 0, 0));
    assert_eq!(bad.answers, Some(api::AnswerCounts { http_2xx: 4, http_5xx: 3, ..api::AnswerCounts::default() }));
    assert!(bad.oldest_waiting_at.is_some() && bad.summary.starts_with("Fails: 3 attempts in a row failed"));
    let listed = world.run(&["destinations", "list"]).await.well();
    assert!(listed.out.contains("enabled") && listed.out.contains("failing"), "{}", listed.out);
    let status = world.run(&["status", "--explain"]).await.well();
    assert_eq!(status.fact("failing"), "1 destination");
    assert!(status.fact("last hour").starts_with("4 deliveries succeeded, 0 failed; 7 attempts, 3 of them failed"));
    assert!(status.out.contains("whose last three attempts failed"), "{}", status.out);
    let is_age = |text: &str| {
        let number = text.strip_suffix(" s ago").and_then(|number| number.parse::<u32>().ok());
        number.is_some_and(|seconds| seconds <= 60)
    };
    assert!(is_age(status.fact("oldest waiting")), "{}", status.out);
    let failing = status.out.lines().skip_while(|line| !line.starts_with("FAILING")).nth(1).unwrap();
    assert!(failing.starts_with(&id), "{failing}");
    let columns: Vec<_> = failing.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    // Its id, its account, its name, failures in a row, the last success, what waits, its lane.
    assert_eq!((columns[3], columns[5]), ("3", "3"), "{columns:?}");
    assert!(is_age(columns[4]), "{columns:?}");

    world.disable(&id).await;
    let off = wait::until("the waiting deliveries to be held", SOON, async || {
        let now = health(&world, &id).await;
        if now.held == 3 && !now.switched_off_by.is_empty() { Ok(now) } else { Err(now) }
    })
    .await;
    assert_eq!((off.state(), off.waiting), (HealthState::Disabled, 0));
    assert_eq!(off.lane.unwrap().state(), LaneState::Held);
    let shown = world.run(&["destinations", "health", "CRM"]).await.well();
    assert_eq!((shown.fact("health"), shown.fact("held")), ("disabled", "3"));
    assert_eq!(shown.fact("answers"), "2xx: 4, 5xx: 3");

    for (bucket, seconds) in [(CountBucket::FiveMinutes, 300), (CountBucket::Hour, 3_600), (CountBucket::Day, 86_400)] {
        let found = counts(&world, bucket).await;
        assert!(found.iter().all(|counts| counts.start.unwrap().seconds % seconds == 0), "{found:?}");
        let sum = |of: fn(&api::DeliveryCounts) -> u64| found.iter().map(of).sum::<u64>();
        assert_eq!((sum(|c| c.succeeded), sum(|c| c.attempts), sum(|c| c.failed_attempts)), (4, 7, 3), "{bucket:?}");
    }
}

#[tokio::test]
async fn account_key_sees_only_the_health_of_its_own_destinations() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let id = world.destination(&receiver.url()).await;
    world.publish("a").await;
    world.delivery_is("a", DeliveryStatus::Succeeded).await;
    let other = api::Account { account_id: "other".into(), name: "Other".into(), ..api::Account::default() };
    world.registry().create_account(api::CreateAccountRequest { account: Some(other) }).await.unwrap();
    let (own, _) = world.new_key(ACCOUNT, &[api::Scope::Read]).await;
    let (theirs, _) = world.new_key("other", &[api::Scope::Read]).await;
    let ask = async |key: &str, account: &str| {
        let request = api::GetDestinationHealthRequest { account_id: account.into(), destination_id: id.clone() };
        let mut client = ProblemServiceClient::new(world.called_with(key).await);
        client.get_destination_health(request).await.map(|found| found.into_inner().succeeded)
    };
    assert_eq!(ask(&own, ACCOUNT).await.unwrap(), 1);
    assert_eq!(ask(&theirs, ACCOUNT).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(ask(&theirs, "other").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn platform_key_lists_the_problems_of_all_accounts() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        receiver.answer(Answer::Status(503));
        let other = api::Account { account_id: "other".into(), ..api::Account::default() };
        world.registry().create_account(api::CreateAccountRequest { account: Some(other) }).await.unwrap();
        let form = api::Interface { account_id: "other".into(), interface_id: INTERFACE.into(), ..Default::default() };
        world.registry().create_interface(api::CreateInterfaceRequest { interface: Some(form) }).await.unwrap();
        let mut ids = vec![];
        for account in [ACCOUNT, "other"] {
            let crm = api::Destination { account_id: account.into(), url: receiver.url(), ..some_destination() };
            ids.push(world.destination_with(crm).await);
            world.publish_with(account, json!({"account": account})).await;
            world.delivery_is(account, DeliveryStatus::Failed).await;
        }
        let (own, _) = world.new_key(ACCOUNT, &[api::Scope::Read]).await;
        let ask = async |key: &str, request: api::ListProblemsRequest| {
            let mut client = ProblemServiceClient::new(world.called_with(key).await);
            let page = client.list_problems(request).await.map(tonic::Response::into_inner)?;
            let accounts = page.problems.into_iter().map(|problem| problem.account_id).collect::<Vec<_>>();
            Ok::<_, tonic::Status>((accounts, page.next_page_token))
        };
        let accounts = async |key: &str, request| ask(key, request).await.map(|(accounts, _)| accounts);
        let all = api::ListProblemsRequest::default();
        wait::until_eq("both problems", SOON, vec!["other".into(), ACCOUNT.into()], async || {
            accounts(&world.key, all.clone()).await.unwrap()
        })
        .await;
        let first = api::ListProblemsRequest { page_size: 1, ..all.clone() };
        let (first_page, page_token) = ask(&world.key, first.clone()).await.unwrap();
        let second = accounts(&world.key, api::ListProblemsRequest { page_token, ..first }).await.unwrap();
        assert_eq!((first_page, second), (vec!["other".to_owned()], vec![ACCOUNT.to_owned()]));
        let of_other = api::ListProblemsRequest { destination_id: ids[1].clone(), ..all.clone() };
        assert_eq!(accounts(&world.key, of_other.clone()).await.unwrap(), ["other"]);
        // The key of an account sees the problems of its account, and cannot find out about other destinations.
        assert_eq!(accounts(&own, all).await.unwrap(), [ACCOUNT]);
        assert_eq!(accounts(&own, of_other).await.unwrap_err().code(), Code::NotFound);

        let listed = world.run(&["problems"]).await.well();
        assert!(
            listed.out.starts_with("ACCOUNT ") && listed.out.contains("\nother ") && listed.out.contains("\nacme ")
        );
        assert!(listed.err.contains("problems show DESTINATION CAUSE --account ACCOUNT"), "{listed:?}");
        let listed = world.run(&["problems", "--account", "other"]).await.well();
        assert!(listed.out.starts_with("LAST ") && listed.out.lines().count() == 2, "{listed:?}");
        let shown = world.run(&["problems", "show", &ids[1], "503"]).await.well();
        assert_eq!(shown.fact("account"), "other");
        let named = world.run(&["problems", "show", "CRM", "503"]).await;
        assert!(named.code != 0 && named.err.contains("--account is missing"), "{named:?}");
    }
}

#[tokio::test]
async fn health_shows_the_state_of_the_lane() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let policy = Some(retries(&[Duration::from_secs(3_600)]));
    let crm = api::Destination { url: receiver.url(), retry_policy: policy.clone(), ..some_destination() };
    let paused = world.destination_with(crm).await;
    receiver.answer(Answer::With(503, vec![("retry-after", "600".into())], "later".into()));
    world.publish("a").await;
    let lane_is = async |id: &str, state: LaneState| {
        wait::until(&format!("a lane that is {}", state.as_str_name()), SOON, async || {
            let lane = health(&world, id).await.lane.unwrap();
            if lane.state() == state { Ok(lane) } else { Err(lane) }
        })
        .await
    };
    let lane = lane_is(&paused, LaneState::Paused).await;
    assert!(lane.until.is_some() && lane.summary.starts_with("paused by Retry-After for "), "{lane:?}");
    world.delete(&paused).await;

    // Each failure in a row takes an eighth of the width; the eighth one opens the breaker.
    let narrow = api::Destination {
        url: format!("http://127.0.0.1:{}/", testkit::port::free_port()),
        retry_policy: policy.clone(),
        breaker_failures: Some(8),
        concurrency: 16,
        ..some_destination()
    };
    let narrow = world.destination_with(narrow).await;
    for event in ["n1", "n2"] {
        world.publish(event).await;
        world.delivery_is(event, DeliveryStatus::Retrying).await;
    }
    let lane = lane_is(&narrow, LaneState::Narrowed).await;
    assert_eq!((lane.failures_in_a_row, lane.allowed), (2, 12));
    assert_eq!(lane.summary, "narrowed to 12 of 16 requests at once");
    world.delete(&narrow).await;

    let gone = api::Destination {
        url: "http://127.0.0.1:9/".into(),
        retry_policy: policy,
        breaker_failures: Some(2),
        ..some_destination()
    };
    let gone = world.destination_with(gone).await;
    for event in ["b", "c", "d"] {
        world.publish(event).await;
    }
    let lane = lane_is(&gone, LaneState::Probing).await;
    assert!(lane.failures_in_a_row >= 2 && lane.until.is_some(), "{lane:?}");
    let rest = lane.summary.strip_prefix("probing in ").unwrap();
    let (seconds, rest) = rest.split_once(' ').unwrap();
    assert!((0..=60).contains(&seconds.parse::<u32>().unwrap()), "{lane:?}");
    assert_eq!(rest, format!("s after {} failures", lane.failures_in_a_row));
}
