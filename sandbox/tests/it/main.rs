//! The stand-ins over a real socket, as a client of the real networks would see them.
