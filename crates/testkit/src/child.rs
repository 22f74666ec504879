//! Starts child processes that cannot outlive the test process, however that ends.
//!
//! Linux signals a child when the *thread* that started it ends (prctl(2), `PR_SET_PDEATHSIG`), and a test's thread
//! ends before its process. So one thread, which lives as long as the process, starts all children. The signal is set
//! by setpriv(1), which then becomes the program; where there is none, children end only when their handle is dropped.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{OnceLock, mpsc},
};

type Order = (Command, mpsc::SyncSender<io::Result<Child>>);

/// How many tests may wait for the starting thread at once before they block in sending.
const ORDERS: usize = 64;

/// A command for `program` that is killed when the process that starts it with [`start`] ends.
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
                // Whoever ordered may have given up; then the dropped handle leaves the child to the parent's end.
                let _ = answer.send(command.spawn());
            }
        });
        orders
    });
    let (answer, reply) = mpsc::sync_channel(1);
    starter.send((command, answer)).map_err(io::Error::other)?;
    reply.recv().map_err(io::Error::other)?
}

/// Kills (SIGKILL) and reaps; a child that is gone already is fine.
pub fn kill(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// The file of this name in the first directory of `PATH` that has it.
pub fn find_on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The directory of the workspace, which is where the tools are brought to.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_outlives_the_thread_that_asked_for_it() {
        let mut command = bound_to_us("cat");
        command.stdin(std::process::Stdio::piped());
        let mut child = std::thread::spawn(move || start(command).unwrap()).join().unwrap();
        assert_eq!(child.try_wait().unwrap(), None);
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}
