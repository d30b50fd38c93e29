//! http: hyper with two routes, as one writes it with Tokio; one worker.

use compare::runtime;
use hyper::header::{HeaderValue, CONTENT_TYPE};
use hyper::server::conn::AddrIncoming;
use hyper::service::{make_service_fn, service_fn};
use hyper::{Body, Request, Response, Server, StatusCode};
use std::convert::Infallible;

async fn answer(request: Request<Body>, path: &str) -> Result<Response<Body>, Infallible> {
    let (body, kind) = if request.uri().path() == "/file" {
        // The whole file at once: it is small, and one hop to the blocking threads is the least there is.
        match tokio::fs::read(path).await {
            Ok(bytes) => (Body::from(bytes), "application/octet-stream"),
            Err(_) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NOT_FOUND;
                return Ok(response);
            }
        }
    } else {
        (Body::from("Hello, world!"), "text/plain")
    };
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

async fn serve(path: &'static str) {
    let mut incoming = AddrIncoming::bind(&([127, 0, 0, 1], 0).into()).unwrap();
    incoming.set_nodelay(true);
    println!("listening {}", incoming.local_addr());
    let service = make_service_fn(move |_| async move {
        Ok::<_, Infallible>(service_fn(move |request| answer(request, path)))
    });
    Server::builder(incoming).serve(service).await.unwrap();
}

fn main() {
    let path = match std::env::args().nth(1) {
        Some(path) => path,
        None => panic!("usage: http FILE"),
    };
    // Lives as long as the program, so the routes need no counting.
    let path: &'static str = Box::leak(path.into_boxed_str());
    runtime(1).block_on(serve(path));
}
