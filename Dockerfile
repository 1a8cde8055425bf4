# syntax=docker/dockerfile:1
# The static binary in a small image with what a GitLab runner needs of one: a shell and grep (busybox), and CA certificates.
# `docker build -t roleout .` makes it; the first build compiles the AWS SDK, which takes some twenty minutes on two cores.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# Dependencies and the build stay in caches between builds, so the binary is copied out of its cache.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    packaging/static && cp target/package/roleout /roleout

FROM busybox:1.37-musl
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /roleout /usr/local/bin/roleout
USER 10001
WORKDIR /work
# GitLab runs a job's script by a shell: no entrypoint stands in its way, and `docker run IMAGE roleout plan` works as well.
ENTRYPOINT []
CMD ["roleout", "--help"]
