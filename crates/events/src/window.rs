//! Stored windows: the failures of a period that a notice collects.

use domain::{
    ErrorKind,
    notice::{ErrorCount, Window},
};

use crate::{
    primitives::{non_empty, time, wrong},
    record::RecordError,
    stored,
};

pub(crate) fn window_to_stored(window: &Window) -> stored::NoticeWindow {
    let errors = window.errors.iter().map(|error| stored::ErrorCount {
        status: error.status.into(),
        kind: error.kind.map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        count: error.count,
    });
    stored::NoticeWindow {
        from: window.from.as_microsecond(),
        until: window.until.as_microsecond(),
        count: window.count,
        since: window.since.map(|at| at.as_microsecond()),
        errors: errors.collect(),
        examples: window.examples.clone(),
    }
}

pub(crate) fn window(record: &'static str, stored: stored::NoticeWindow) -> Result<Window, RecordError> {
    let error = |stored: stored::ErrorCount| {
        let unknown = || wrong(record, "kind", format!("{:?}", stored.kind));
        Ok(ErrorCount {
            status: u16::try_from(stored.status).map_err(|e| wrong(record, "status", e))?,
            kind: non_empty(&stored.kind).map(|word| ErrorKind::parse(word).ok_or_else(unknown)).transpose()?,
            count: stored.count,
        })
    };
    Ok(Window {
        from: time(record, "from", stored.from)?,
        until: time(record, "until", stored.until)?,
        count: stored.count,
        since: stored.since.map(|at| time(record, "since", at)).transpose()?,
        errors: stored.errors.into_iter().map(error).collect::<Result<_, RecordError>>()?,
        examples: stored.examples,
    })
}
