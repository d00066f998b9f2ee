# One image, one program: `postmesh run <service>`, `postmesh migrate`, `postmesh certs` and the rest.
ARG RUST_VERSION=1.95.0
ARG DEBIAN_RELEASE=bookworm

FROM rust:${RUST_VERSION}-slim-${DEBIAN_RELEASE} AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --package postmesh \
    && install -D --mode=0755 target/release/postmesh /out/usr/local/bin/postmesh \
    && install -d --mode=0700 /out/var/lib/postmesh \
    && install -d --mode=0700 /out/etc/postmesh/tls

# libc, libgcc, certificate authorities and time zones; no shell, no package manager. The tag names a Debian release
# and moves with its security fixes; a release pins the digest it was built on.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build --chown=10001:10001 /out/var/lib/postmesh /var/lib/postmesh
COPY --from=build --chown=10001:10001 /out/etc/postmesh /etc/postmesh
COPY --from=build /out/usr/local/bin/postmesh /usr/local/bin/postmesh
USER 10001:10001
WORKDIR /var/lib/postmesh
ENV POSTMESH_LOG__FORMAT=json
# gateway, admin (health and metrics), mesh
EXPOSE 8080 9090 7000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["/usr/local/bin/postmesh", "health"]
ENTRYPOINT ["/usr/local/bin/postmesh"]
CMD ["--help"]
