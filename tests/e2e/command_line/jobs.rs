//! `leadline retry`, `recover` and `jobs`: starting, following, dry runs, and cancelling.

use api::DeliveryStatus;
use testkit::{Answer, Process, Receiver, wait};

use crate::world::{ACCOUNT, SOON, World, program};

#[tokio::test]
async fn failed_deliveries_can_be_retried_by_id_and_filter() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        receiver.answer(Answer::Status(500));
        world.destination(&receiver.url()).await;
        let failed = world.publish_failing(30).await;
        receiver.answer(Answer::Status(200));

        let dry = world.run(&["retry", "--destination", "CRM", "--dry-run"]).await.well();
        assert_eq!(dry.fact("status"), "completed");
        assert_eq!(dry.fact("progress"), "30 examined, 30 would be retried, 0 refused");
        assert_eq!(dry.out.lines().filter(|line| line.split("  ").count() == 2 && line.contains("  e")).count(), 20);
        assert_eq!(receiver.count(), 30, "a dry run does nothing");

        let one = failed[0].delivery_id.as_str();
        let ran = world.run(&["retry", one, "--requested-by", "Grace"]).await.well();
        assert_eq!(ran.fact("progress"), "1 examined, 1 retried, 0 refused");
        assert!(ran.fact("requested by").ends_with("for Grace"), "{ran:?}");
        world.delivery_is(&failed[0].event_id, DeliveryStatus::Succeeded).await;
        let again = world.run(&["retry", one, failed[1].delivery_id.as_str()]).await;
        assert_eq!(again.code, 1, "one of them was refused");
        assert_eq!(again.fact("progress"), "2 examined, 1 retried, 1 refused");
        assert_eq!(again.fact("deliveries"), "1 succeeded, 0 failed again, 0 still waiting");
        let expected = "the status of the delivery is succeeded, not failed; set force (--force) to send it again";
        assert_eq!(again.fact(one), expected);
        let refusals = ["jobs", "refusals", again.fact("job")];
        assert_eq!(world.run(&refusals).await.well().rows()[0][..4], [one, "the", "status", "of"]);
        let refused = world.run(&[&refusals[..], &["--json"]].concat()).await.well().json();
        assert_eq!((&refused["delivery_id"], &refused["reason"]), (&one.into(), &"not_failed".into()));

        let job = world.run(&["retry", "--all", "--pace", "1000", "--json"]).await.well().json();
        assert_eq!((&job["status"], &job["counts"]["retried"]), (&"JOB_STATUS_COMPLETED".into(), &"28".into()));
        wait::until_eq("all of them", SOON, 30, async || world.all(DeliveryStatus::Succeeded).await.len()).await;
        assert_eq!(receiver.count(), 60);

        let ran = world.run(&["jobs", "list"]).await.well();
        assert_eq!(ran.rows().iter().filter(|row| row[2] == "completed").count(), 4);
        assert_eq!(world.run(&["jobs", "list", "--status", "running", "--json"]).await.well().out, "");
        assert_eq!(world.run(&["jobs", "show", job["job_id"].as_str().unwrap(), "--json"]).await.well().json(), job);
    }
}

#[tokio::test]
async fn retry_reports_its_outcome_and_resend_its_reason() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let id = world.destination(&receiver.url()).await;
    world.publish("e1").await;
    let delivery = world.delivery_is("e1", DeliveryStatus::Succeeded).await.delivery.unwrap().delivery_id;
    let refused = world.run(&["retry", &delivery]).await;
    assert_eq!((refused.code, refused.fact("progress")), (1, "1 examined, 0 retried, 1 refused"));
    assert!(refused.fact(&delivery).contains("--force"), "{refused:?}");

    let resend = ["retry", "--force", "--because", "the CRM lost it", &delivery];
    let ran = world.run(&resend).await.well();
    assert_eq!((ran.fact("what"), ran.fact("because")), ("resend of 1 delivery", "the CRM lost it"));
    assert_eq!(ran.fact("deliveries"), "1 succeeded, 0 failed again, 0 still waiting");
    let log = world.log("e1").await;
    assert!(
        log.iter().any(|(entry, detail)| entry == "resentwebhook" && detail.ends_with(": the CRM lost it")),
        "{log:?}"
    );

    receiver.answer(Answer::Status(500));
    let again = world.run(&resend).await;
    assert_eq!((again.code, again.fact("deliveries")), (1, "0 succeeded, 1 failed again, 0 still waiting"));
    world.disable(&id).await;
    let waits = world.run(&["retry", &delivery, "--wait", "0s"]).await.well();
    assert!(waits.fact("progress").starts_with("1 examined, 1 retried"), "{waits:?}");
    let job = world.run(&["retry", "--all", "--no-wait", "--json"]).await.well().json();
    assert_eq!(job["status"], "JOB_STATUS_RUNNING");

    receiver.answer(Answer::Status(200));
    world.enable(&id, false).await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    let seen = receiver.count();
    let recover = ["recover", "CRM", "--since", "1h", "--include-succeeded", "--type", "lead.*"];
    let ran = world.run(&recover).await.well();
    assert_eq!(ran.fact("deliveries"), "1 succeeded, 0 failed again, 0 still waiting");
    assert_eq!(receiver.count(), seen + 1);
    let others =
        world.run(&["recover", "CRM", "--since", "1h", "--include-succeeded", "--type", "email.*"]).await.well();
    assert!(others.fact("progress").contains(" 0 retried"), "{others:?}");
}

#[tokio::test]
async fn job_continues_without_its_caller_and_can_be_cancelled() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Status(500));
    world.destination(&receiver.url()).await;
    world.publish_failing(100).await;
    let job = world.run(&["retry", "--all", "--pace", "2", "--no-wait", "--json"]).await.well().json();
    assert_eq!(job["status"], "JOB_STATUS_RUNNING");
    let id = job["job_id"].as_str().unwrap();
    let follow = tokio::spawn(super::finished(world.command(&["jobs", "show", id, "--follow"]), ""));
    let shown = async || world.run(&["jobs", "show", id]).await.well().fact("progress").to_owned();
    wait::until("some progress", SOON, async || !shown().await.contains(" 0 retried")).await;
    let cancelled = world.run(&["jobs", "cancel", id]).await.well();
    assert_eq!(cancelled.fact("status"), "cancelling");
    let followed = follow.await.unwrap();
    assert_eq!((followed.code, followed.fact("status")), (1, "cancelled"));
    assert!(followed.err.contains("jobs cancel"), "{followed:?}");
    let again = world.run(&["jobs", "cancel", id, "--json"]).await;
    assert_eq!(again.code, 1);
    assert!(again.err.contains("refused (FAILED_PRECONDITION): "), "{again:?}");
}

#[tokio::test]
async fn destination_can_recover_missed_events() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        world.publish_many(20).await;
        let id = world.destination(&receiver.url()).await;
        let since = ["recover", "CRM", "--since", "1h", "--account", ACCOUNT];
        let ran = world.run(&since).await.well();
        assert!(ran.fact("progress").contains("20 older than the destination"), "{ran:?}");
        let all = [&since[..], &["--include-before-created", "--pace", "1000"]].concat();
        let dry = world.run(&[&all[..], &["--dry-run"]].concat()).await.well();
        assert!(dry.fact("progress").contains("20 would be requested for the first time"), "{dry:?}");
        assert_eq!(receiver.count(), 0);
        let job = world.run(&[&all[..], &["--json"]].concat()).await.well().json();
        assert_eq!((&job["recovery"]["destination_id"], &job["counts"]["requested"]), (&id.into(), &"20".into()));
        wait::until_eq("all of them", SOON, 20, async || receiver.count()).await;
    }
}

#[tokio::test]
async fn a_followed_job_goes_on_after_the_server_was_killed() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Status(500));
    world.destination(&receiver.url()).await;
    world.publish_failing(20).await;
    receiver.answer(Answer::Status(200));
    let (data, grpc) = (world.home.data(), world.grpc.clone());
    let start = |name: &str, args: &[&str]| {
        let reach = ["--grpc-url", &grpc, "--data-dir", data.to_str().unwrap()];
        Process::start(name, program(), [args, &reach].concat(), [] as [(&str, &str); 0])
    };
    let retry = start("retry", &["retry", "--all", "--pace", "2"]);
    let id = wait::until("the job", SOON, async || {
        let request = api::ListJobsRequest { account_id: ACCOUNT.into(), ..api::ListJobsRequest::default() };
        world.jobs().list_jobs(request).await.unwrap().into_inner().jobs.pop().map(|job| job.job_id)
    })
    .await;
    let follow = start("jobs", &["jobs", "show", &id, "--follow"]);
    retry.wait_line("continues in the background", SOON).await;
    follow.wait_line("continues in the background", SOON).await;
    world.process.kill();
    world.process.wait_exit(SOON).await;
    let address = grpc.trim_start_matches("http://").to_owned();
    let _world = world.again(&["--grpc", &address]).await;
    for process in [&retry, &follow] {
        process.wait_line("20 succeeded, 0 failed again, 0 still waiting", SOON).await;
        assert!(process.wait_exit(SOON).await.success());
    }
}
