//! Crash points: places where a test aborts the process, as if it was killed between two steps, or makes it panic.

/// The variable that names the crash point.
#[cfg(debug_assertions)]
const CRASH_AT: &str = "LEADLINE_CRASH_AT";
/// Separates the name of a crash point from the id for which the process aborts there.
#[cfg(debug_assertions)]
const OF_SEPARATOR: &str = " of ";
/// Separates the name of a crash point from the id of the work that panics there.
#[cfg(debug_assertions)]
const PANIC_SEPARATOR: &str = " panic ";

/// Aborts the process without any cleanup if `LEADLINE_CRASH_AT` names this point. Does nothing in a release build.
#[inline]
pub fn point(name: &str) {
    #[cfg(debug_assertions)]
    {
        if at() == Some(name) {
            eprintln!("aborting {name}, because {CRASH_AT} names this point");
            std::process::abort();
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// As [`point`], for one id: aborts if `LEADLINE_CRASH_AT` is the name of this point, ` of `, and the id.
#[inline]
pub fn point_of(name: &str, id: &str) {
    #[cfg(debug_assertions)]
    if named(OF_SEPARATOR, name, id) {
        eprintln!("aborting {name}{OF_SEPARATOR}{id}, because {CRASH_AT} names this point");
        std::process::abort();
    }
    #[cfg(not(debug_assertions))]
    let _ = (name, id);
}

/// Panics if `LEADLINE_CRASH_AT` is the name of this point, ` panic `, and the id of the work. Does nothing in a
/// release build.
#[inline]
pub fn panic_point(name: &str, id: &str) {
    #[cfg(debug_assertions)]
    assert!(!named(PANIC_SEPARATOR, name, id), "panicking {name}, because {CRASH_AT} names this point");
    #[cfg(not(debug_assertions))]
    let _ = (name, id);
}

#[cfg(debug_assertions)]
fn named(between: &str, name: &str, id: &str) -> bool {
    at().is_some_and(|at| at.split_once(between) == Some((name, id)))
}

#[cfg(debug_assertions)]
fn at() -> Option<&'static str> {
    static AT: std::sync::LazyLock<Option<String>> = std::sync::LazyLock::new(|| std::env::var(CRASH_AT).ok());
    AT.as_deref()
}
