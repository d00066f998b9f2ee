//! A gRPC stream as NDJSON: one message per line, an error as the last line.

use bytes::{Buf as _, Bytes, BytesMut};
use futures::stream;
use http::{HeaderValue, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use postmesh_kit::status::to_status;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tonic::{Status, body::Body};

use super::{
    encode::{self, Names},
    refused,
};
use crate::{error::Refusal, frames::PREFIX};

/// Takes the next whole message off the buffer; `None` while it is not complete.
pub(crate) fn split_message(buffer: &mut BytesMut) -> Option<Result<Bytes, Status>> {
    let [compressed, a, b, c, d] = *buffer.first_chunk::<PREFIX>()?;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if compressed != 0 {
        return Some(Err(to_status(Refusal::Garbled)));
    }
    if buffer.len() < PREFIX + length {
        return None;
    }
    buffer.advance(PREFIX);
    Some(Ok(buffer.split_to(length).freeze()))
}

/// The answer that writes each message as it comes.
pub(crate) fn answer(body: Body, output: MessageDescriptor, names: Names) -> Response<Body> {
    let state = Some((body, BytesMut::new()));
    let lines = stream::unfold(state, move |state| {
        let output = output.clone();
        async move {
            let (mut body, mut buffer) = state?;
            loop {
                match split_message(&mut buffer) {
                    Some(message) => {
                        let line = message.and_then(|message| to_line(&output, message, names));
                        return Some(match line {
                            Ok(line) => (line, Some((body, buffer))),
                            Err(status) => (last_line(&status), None),
                        });
                    }
                    None => match body.frame().await {
                        Some(Ok(frame)) => match frame.into_data() {
                            Ok(data) => buffer.extend_from_slice(&data),
                            Err(frame) => {
                                let status = frame.trailers_ref().and_then(refused)?;
                                return Some((last_line(&status), None));
                            }
                        },
                        Some(Err(status)) => return Some((last_line(&status), None)),
                        None => return None,
                    },
                }
            }
        }
    });
    let frames = futures::StreamExt::map(lines, |line| Ok::<_, Status>(Frame::data(line)));
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    // Reverse proxies that buffer would hold lines back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn to_line(output: &MessageDescriptor, message: Bytes, names: Names) -> Result<Bytes, Status> {
    let message = DynamicMessage::decode(output.clone(), message).map_err(|_| to_status(Refusal::Garbled))?;
    let mut line = encode::message(&message, names).map_err(|_| to_status(Refusal::Garbled))?;
    line.push(b'\n');
    Ok(line.into())
}

fn last_line(status: &Status) -> Bytes {
    format!("{}\n", encode::error(status, encode::http_status(status.code()))).into()
}
