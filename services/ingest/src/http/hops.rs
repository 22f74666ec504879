//! Hops: the number of deliveries in a row that led to a request.
//!
//! The request of a delivery carries the count in a header. If a receiver publishes to Leadline again, this loop may
//! double the leads in each round; the limit of hops ends the loop. A chain of installations works if it needs no more
//! hops than the limit. A loop through a system that drops the header is not detected.

use api::publish::PublishError;
use axum::http::HeaderMap;
use domain::lead::HOPS;

/// The hops of a request; 0 if the request has no such header.
///
/// # Errors
/// If there are more than `max_hops`, or the header is not a number.
pub(crate) fn of_request(headers: &HeaderMap, max_hops: u32) -> Result<u32, PublishError> {
    let no_number = || PublishError::invalid(HOPS, "has to be a number; only Leadline sends this header");
    let count = |value: &axum::http::HeaderValue| value.to_str().ok()?.trim().parse::<u32>().ok();
    let mut hops = 0;
    for value in headers.get_all(HOPS) {
        hops = hops.max(count(value).ok_or_else(no_number)?);
    }
    if hops > max_hops {
        return Err(PublishError::Loop { hops, max_hops });
    }
    Ok(hops)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_are_counted_up_to_the_limit() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(HOPS, value.parse().unwrap());
            }
            of_request(&headers, 4)
        };
        assert_eq!(read(&[]), Ok(0));
        assert_eq!(read(&["4"]), Ok(4));
        assert_eq!(read(&["1", "3"]), Ok(3));
        assert_eq!(read(&["5"]), Err(PublishError::Loop { hops: 5, max_hops: 4 }));
        for wrong in ["", "-1", "many", "4294967296"] {
            assert_eq!(read(&["1", wrong]).unwrap_err().field(), Some(HOPS), "{wrong}");
        }
    }
}
