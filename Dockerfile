# syntax=docker/dockerfile:1
# A static binary in a small image with a shell and CA certificates, which is what a GitLab job needs of its image.
# `docker build -t roleout .` makes it; the first build compiles the AWS SDK, which takes some minutes.

FROM rust:1.95-alpine AS build
RUN apk add --no-cache musl-dev
WORKDIR /src
COPY . .
# Dependencies and the build stay in caches between builds, so the binary is copied out of its cache.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --all-features && cp target/release/roleout /roleout

FROM alpine:3
RUN apk add --no-cache ca-certificates && adduser -D -u 10001 roleout
COPY --from=build /roleout /usr/local/bin/roleout
USER 10001
WORKDIR /work
# GitLab runs a job's script by a shell: no entrypoint stands in its way, and `docker run IMAGE roleout plan` works as well.
ENTRYPOINT []
CMD ["roleout", "--help"]
