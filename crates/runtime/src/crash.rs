//! Places at which a test can have the process die, as if it had been killed between two steps.

/// Name of the variable that says where to die.
#[cfg(debug_assertions)]
const CRASH_AT: &str = "LEADLINE_CRASH_AT";

/// Ends the process here, without any cleaning up, if `LEADLINE_CRASH_AT` names this place. In a release build it does
/// nothing.
#[inline]
pub fn point(name: &str) {
    #[cfg(debug_assertions)]
    {
        static AT: std::sync::LazyLock<Option<String>> = std::sync::LazyLock::new(|| std::env::var(CRASH_AT).ok());
        if AT.as_deref() == Some(name) {
            eprintln!("dying {name}, as {CRASH_AT} says");
            std::process::abort();
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}
