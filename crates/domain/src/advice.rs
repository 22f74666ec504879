//! The suggested action for each failure, for the person who has to fix it.

use crate::outcome::ErrorKind;

/// The action for an attempt that ended with this status or error kind. It is never empty for a failure.
pub const fn suggested_action(status: u16, kind: Option<ErrorKind>) -> &'static str {
    match kind {
        Some(ErrorKind::Dns) => {
            "The host name does not resolve. Check the spelling of the URL and the domain's DNS records."
        }
        Some(ErrorKind::Connect) => {
            "Nothing accepted the connection. Check that the receiver runs, and its port and firewall."
        }
        Some(ErrorKind::Tls) => {
            "The TLS handshake failed. Check that the certificate is valid, not expired, issued for this host name and sent with its whole chain. If the receiver asks for a client certificate, check that the destination has the right one (client_certificate), and that it has not expired."
        }
        Some(ErrorKind::Timeout) => {
            "The receiver did not answer in time. Answer first and process later, or raise the destination's timeout."
        }
        Some(ErrorKind::Reset) => {
            "The connection ended before the answer did. Look for crashes, restarts or a proxy's limits on the receiver's side."
        }
        Some(ErrorKind::Blocked) => {
            "Leadline may not call this address: it is private or reserved, or the operator's egress proxy refuses it. Use a public address, or ask the operator to allow it."
        }
        Some(ErrorKind::Protocol) => "The response is not HTTP. Check the scheme and the port of the URL.",
        Some(ErrorKind::Render) => {
            "Leadline could not render a request from this lead, so it sent none and does not retry by itself. The message names the setting and the line; correct the destination's URL or template (a default helps if a field is missing: {{ payload.phone|default(\"\") }}), then retry the delivery."
        }
        Some(ErrorKind::Proxy) => {
            "The destination's proxy did not open a connection to the receiver. Check the proxy's URL, username and password, that it runs, and that it lets Leadline connect to the receiver's host and port."
        }
        Some(ErrorKind::OAuth) => {
            "The token server gave no access token, so no request reached the receiver. Check the token URL, client id, client secret and scope of the destination's auth; the message says what the token server answered."
        }
        None => for_status(status),
    }
}

const fn for_status(status: u16) -> &'static str {
    match status {
        200..=299 => "",
        300..=399 => "The receiver redirects, and redirects are not followed. Set the URL to where it redirects to.",
        400 => "The receiver refuses the request as malformed. Compare the body with what it expects.",
        401 | 403 => "The receiver refuses the credentials. Check its token or secret, and who may call it.",
        404 => "The receiver does not know the URL. Check the path and the route.",
        405 => "The receiver does not take this method at this URL. Check the destination's method, and the route.",
        408 | 504 => "The receiver, or a proxy before it, ran out of time. Look at its processing time.",
        409 => "The receiver reports a conflict. Look for a record that exists already.",
        410 => "The receiver says that this URL is gone for good. Set a new URL or delete the destination.",
        413 => "The body is too large for the receiver. Raise its limit.",
        415 => {
            "The receiver does not take bodies of this content type. Set the destination's body and content_type to what it takes."
        }
        422 => "The receiver refuses the body's shape. Compare the fields with what it expects.",
        429 => {
            "The receiver gets too many requests. Lower the destination's concurrency, or raise the receiver's limit."
        }
        508 => {
            "The receiver reports a loop, or is short of resources. If the URL leads back to Leadline, set another one; otherwise check the receiver's limits."
        }
        500..=599 => "The receiver failed on its side. Look into its logs around this time.",
        _ => "The receiver did not answer with success. Look into its logs around this time.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_an_advice_and_success_none() {
        for status in 100..=999_u16 {
            assert_eq!(suggested_action(status, None).is_empty(), (200..300).contains(&status), "{status}");
        }
        for kind in ErrorKind::ALL {
            assert!(!suggested_action(999, Some(kind)).is_empty());
        }
    }
}
