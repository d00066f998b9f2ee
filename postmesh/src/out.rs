//! What a command says on its standard output. A reader that has seen enough (`postmesh networks | head`) ends the
//! command quietly, as it ends other commands; the standard library's `println!` would panic.

use std::{
    fmt,
    io::{ErrorKind, Write as _, stdout},
    process::exit,
};

/// What a shell says of a command that a closed pipe ended: 128 and SIGPIPE.
const CLOSED: i32 = 141;

/// The standard library's, for a reader that may go.
macro_rules! print {
    ($($arg:tt)*) => {
        $crate::out::write(format_args!($($arg)*))
    };
}

/// The same, with a line's end.
macro_rules! println {
    () => {
        $crate::out::write(format_args!("\n"))
    };
    ($($arg:tt)*) => {
        $crate::out::write(format_args!("{}\n", format_args!($($arg)*)))
    };
}

/// Writes to the standard output; ends the program when that cannot be.
pub(crate) fn write(text: fmt::Arguments<'_>) {
    match stdout().write_fmt(text) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit(CLOSED),
        Err(error) => {
            eprintln!("error: cannot write to the standard output: {error}");
            exit(1);
        }
    }
}
