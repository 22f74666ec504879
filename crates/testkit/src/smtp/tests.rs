//! Tests of the mail server.

use super::*;

/// Sends these bytes at once, and returns all answers until the server closes the connection.
async fn talk(sink: &SmtpSink, words: &str) -> String {
    let mut stream = TcpStream::connect(sink.address).await.unwrap();
    stream.write_all(words.as_bytes()).await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    answers
}

fn mail(subject: &str) -> String {
    format!(
        "EHLO test\r\nMAIL FROM:<a@x.example> SIZE=9\r\nRCPT TO:<b@x.example>\r\nRCPT TO:<c@x.example>\r\nDATA\r\n\
         Subject: {subject}\r\n\r\n..dot\r\n...\r\n.\r\n"
    )
}

#[tokio::test]
async fn mails_are_kept_without_dot_stuffing() {
    let sink = SmtpSink::start().await;
    let answers = talk(&sink, &(mail("one") + "QUIT\r\n")).await;
    assert!(answers.ends_with("354 go on\r\n250 taken\r\n221 bye\r\n"), "{answers}");
    let [mail] = &sink.mails()[..] else { panic!("one mail: {:?}", sink.mails()) };
    assert_eq!((mail.from.as_str(), &mail.to[..]), ("a@x.example", &["b@x.example".into(), "c@x.example".into()][..]));
    assert_eq!(mail.raw, "Subject: one\r\n\r\n.dot\r\n..\r\n");
}

#[tokio::test]
async fn server_refuses_then_hangs_up_then_accepts() {
    let sink = SmtpSink::start().await;
    sink.refuse_next(1, "451 not now");
    sink.hang_up_next(1);
    assert!(talk(&sink, &(mail("one") + "QUIT\r\n")).await.ends_with("451 not now\r\n221 bye\r\n"));
    assert_eq!(sink.mails().len(), 0);
    assert!(talk(&sink, &mail("two")).await.ends_with("354 go on\r\n"));
    assert_eq!(sink.mails().len(), 1);
    assert!(talk(&sink, &(mail("three") + "QUIT\r\n")).await.contains("250 taken"));
    assert_eq!(sink.mails().len(), 2);
}

#[tokio::test]
async fn server_refuses_steps_recipients_and_mails_over_a_quota() {
    let sink = SmtpSink::start().await;
    let talk_to = async |sink: &SmtpSink| talk(sink, &(mail("one") + "QUIT\r\n")).await;
    for (step, answer) in [(Step::Hello, "501 bad"), (Step::Sender, "553 not you"), (Step::Data, "554 no")] {
        sink.refuse_at(step, answer);
        assert!(talk_to(&sink).await.contains(answer), "{step:?}");
        sink.accept();
    }
    sink.refuse_at(Step::Greeting, "554 block list");
    assert_eq!(talk_to(&sink).await, "554 block list\r\n");
    sink.accept();
    sink.refuse_recipient("b@x.example", "450 full");
    sink.take_only(1, "450 quota");
    assert!(talk_to(&sink).await.contains("450 full\r\n250 ok\r\n354 go on\r\n250 taken"));
    assert!(talk_to(&sink).await.contains("450 quota\r\n450 quota"));
    sink.accept();
    assert!(talk_to(&sink).await.contains("250 taken"));
    let taken = sink.mails().iter().map(|mail| mail.to.len()).collect::<Vec<_>>();
    assert_eq!((sink.sessions(), sink.tries().len(), taken), (7, 8, vec![1, 2]));
    assert_eq!(sink.hellos(), ["test"; 6]);
}

#[tokio::test]
async fn incomplete_mails_and_mails_without_recipient_are_dropped() {
    let sink = SmtpSink::start().await;
    let mut stream = TcpStream::connect(sink.address).await.unwrap();
    let whole = mail("half");
    stream.write_all(whole.strip_suffix(".\r\n").unwrap().as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert!(answers.ends_with("354 go on\r\n"), "{answers}");
    let reset = "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nRSET\r\nDATA\r\nNOOP\r\nQUIT\r\n";
    assert!(talk(&sink, reset).await.ends_with("503 not now\r\n250 ok\r\n221 bye\r\n"));
    assert_eq!(sink.mails().len(), 0);
}

#[tokio::test]
async fn restarts_on_the_same_port() {
    let sink = SmtpSink::start_on(port::free_port()).await;
    let (port, url) = (sink.address.port(), sink.url());
    sink.stop().await;
    let again = SmtpSink::start_on(port).await;
    assert_eq!(again.url(), url);
    assert_eq!(talk(&again, "QUIT\r\n").await, "220 sink\r\n221 bye\r\n");
}
