//! A name server that knows a few names and can refuse or ignore others.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::SOA},
};
use tokio::{net::UdpSocket, task::JoinHandle};

/// The TTL of answers in seconds: longer than any test.
const TTL: u32 = 300;
/// The maximum size of a question, in bytes.
const MAX_QUESTION: usize = 512;

/// A name server on its own port. It answers for the given names, refuses `refused.test`, ignores questions about names
/// that end in `.silent.test`, and answers for every other name that it does not exist.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    questions: Arc<Mutex<HashMap<String, usize>>>,
    task: JoinHandle<()>,
}

impl NameServer {
    /// Starts a name server with these names and their addresses.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start(names: &[(&str, &[&str])]) -> Self {
        let names: HashMap<String, Vec<IpAddr>> = names
            .iter()
            .map(|(name, addresses)| {
                let parsed = |text: &&str| text.parse().unwrap_or_else(|_| panic!("{text} is not an address"));
                ((*name).to_owned(), addresses.iter().map(parsed).collect())
            })
            .collect();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port for the name server");
        let address = socket.local_addr().expect("the name server has a port");
        let questions = Arc::<Mutex<HashMap<String, usize>>>::default();
        let task = tokio::spawn(serve(socket, names, Arc::clone(&questions)));
        Self { address, questions, task }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of questions about a name.
    pub fn questions(&self, name: &str) -> usize {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied().unwrap_or_default()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: UdpSocket, names: HashMap<String, Vec<IpAddr>>, questions: Arc<Mutex<HashMap<String, usize>>>) {
    let mut buffer = [0; MAX_QUESTION];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let Ok(question) = Message::from_vec(&buffer[..length]) else { continue };
        let Some(query) = question.queries.first() else { continue };
        let name = query.name().to_lowercase().to_utf8();
        let name = name.trim_end_matches('.');
        *questions.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default() += 1;
        if name.ends_with(".silent.test") {
            continue;
        }
        let answer = answer(&question, query.name(), query.query_type(), name, names.get(name));
        let bytes = answer.to_vec().expect("an answer can be encoded");
        let _ = socket.send_to(&bytes, client).await;
    }
}

fn answer(question: &Message, asked: &Name, kind: RecordType, name: &str, found: Option<&Vec<IpAddr>>) -> Message {
    let mut answer = question.clone().into_response();
    let Some(addresses) = found else {
        answer.metadata.response_code =
            if name == "refused.test" { ResponseCode::Refused } else { ResponseCode::NXDomain };
        answer.authorities.push(start_of_authority());
        return answer;
    };
    for address in addresses {
        let data = RData::from(*address);
        if data.record_type() == kind {
            answer.answers.push(Record::from_rdata(asked.clone(), TTL, data));
        }
    }
    if answer.answers.is_empty() {
        answer.authorities.push(start_of_authority());
    }
    answer
}

/// The record that sets how long the absence of a name may be cached.
fn start_of_authority() -> Record {
    let zone = Name::from_ascii("test.").expect("a name");
    let ttl = TTL.cast_signed();
    Record::from_rdata(zone.clone(), TTL, RData::SOA(SOA::new(zone.clone(), zone, 1, ttl, ttl, ttl, TTL)))
}
