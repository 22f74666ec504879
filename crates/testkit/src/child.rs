//! Starts child processes that cannot outlive the test process, however the test process ends.
//!
//! Linux signals a child when the *thread* that started it ends (prctl(2), `PR_SET_PDEATHSIG`), and a test's thread
//! ends before its process. So one thread, which lives as long as the process, starts all children. setpriv(1) requests
//! the signal and then executes the program. Without setpriv, children end only when their handle is dropped.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{OnceLock, mpsc},
};

type Order = (Command, mpsc::SyncSender<io::Result<Child>>);

/// The number of waiting orders above which tests block when they send one.
const ORDERS: usize = 64;

/// A command for `program`. If [`start`] starts it, it is killed when this process ends.
pub fn bound_to_us(program: impl AsRef<Path>) -> Command {
    match find_on_path("setpriv") {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL", "--"]).arg(program.as_ref());
            command
        }
        None => Command::new(program.as_ref()),
    }
}

/// Starts `command` from the thread that lives as long as the process.
///
/// # Errors
/// As [`Command::spawn`]. Behind setpriv a program that does not exist shows as an exit with status 127 instead.
pub fn start(command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<mpsc::SyncSender<Order>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, inbox) = mpsc::sync_channel::<Order>(ORDERS);
        std::thread::spawn(move || {
            for (mut command, answer) in inbox {
                // The caller may have given up. The child of the dropped handle then ends with this process.
                let _ = answer.send(command.spawn());
            }
        });
        orders
    });
    let (answer, reply) = mpsc::sync_channel(1);
    starter.send((command, answer)).map_err(io::Error::other)?;
    reply.recv().map_err(io::Error::other)?
}

/// Kills (SIGKILL) and reaps a child. It ignores a child that has ended.
pub fn kill(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// The first file of this name on `PATH`.
pub fn find_on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The directory of the workspace, into which the tools are downloaded.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn child_outlives_the_thread_that_started_it() {
        let mut command = bound_to_us("cat");
        command.stdin(std::process::Stdio::piped());
        let mut child = std::thread::spawn(move || start(command).unwrap()).join().unwrap();
        assert_eq!(child.try_wait().unwrap(), None);
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}
