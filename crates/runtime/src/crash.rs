//! Places at which a test can have the process die, as if it had been killed between two steps, or panic.

/// Name of the variable that says where to die.
#[cfg(debug_assertions)]
const CRASH_AT: &str = "LEADLINE_CRASH_AT";
/// What stands between the name of a place and the id of the one thing that dies or panics there.
#[cfg(debug_assertions)]
const OF: &str = " of ";
#[cfg(debug_assertions)]
const PANIC: &str = " panic ";

/// Ends the process here, without any cleaning up, if `LEADLINE_CRASH_AT` names this place. In a release build it does
/// nothing.
#[inline]
pub fn point(name: &str) {
    #[cfg(debug_assertions)]
    {
        if at() == Some(name) {
            eprintln!("dying {name}, as {CRASH_AT} says");
            std::process::abort();
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// The same for what has this id, if `LEADLINE_CRASH_AT` is the name of this place, ` of `, and the id.
#[inline]
pub fn point_of(name: &str, id: &str) {
    #[cfg(debug_assertions)]
    if named(OF, name, id) {
        eprintln!("dying {name}{OF}{id}, as {CRASH_AT} says");
        std::process::abort();
    }
    #[cfg(not(debug_assertions))]
    let _ = (name, id);
}

/// Panics here, if `LEADLINE_CRASH_AT` is the name of this place, ` panic `, and the id of what is being worked on. In a
/// release build it does nothing.
#[inline]
pub fn panic_point(name: &str, id: &str) {
    #[cfg(debug_assertions)]
    assert!(!named(PANIC, name, id), "panicking {name}, as {CRASH_AT} says");
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
