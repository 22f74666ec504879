use super::*;
use crate::receiver::Receiver;

/// Calls a receiver with this certificate and trusts only the authority. An error is the `Debug` of its causes.
async fn ask(authority: &Authority, certificate: &Certificate) -> Result<u16, String> {
    let _ = ring::default_provider().install_default();
    let root = reqwest::Certificate::from_pem(&fs::read(authority.file()).unwrap()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([root]).build().unwrap();
    let receiver = Receiver::start_tls(certificate).await;
    match client.get(receiver.url()).send().await {
        Ok(response) => Ok(response.status().as_u16()),
        Err(error) => Err(format!("{error:?}")),
    }
}

#[tokio::test]
async fn only_certificates_of_the_authority_for_the_host_are_trusted() {
    let authority = Authority::default();
    assert_eq!(ask(&authority, &authority.certificate_for("localhost")).await, Ok(200));
    let self_signed = ask(&authority, &Certificate::self_signed("localhost")).await.unwrap_err();
    assert!(self_signed.contains("UnknownIssuer"), "{self_signed}");
    let wrong_host = ask(&authority, &authority.certificate_for("elsewhere.example")).await.unwrap_err();
    assert!(wrong_host.contains("NotValidForName"), "{wrong_host}");
}
