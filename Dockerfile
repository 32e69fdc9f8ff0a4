# The image of the Home Assistant app: one static binary and nothing else. Supervisor builds it on the
# user's machine as long as config.yaml names no image; BUILD_FROM then comes from build.yaml.
ARG BUILD_FROM=docker.io/library/rust:1.95.0-alpine

FROM ${BUILD_FROM} AS build
WORKDIR /source
COPY . .
# Alone in its root, the binary finds no library that it could load.
RUN cargo build --release --locked \
    && install -D target/release/wallcast /built/usr/bin/wallcast \
    && chroot /built /usr/bin/wallcast --version

FROM scratch
COPY rootfs/ /
COPY --from=build /built/ /

ARG BUILD_ARCH=unknown
ARG BUILD_VERSION=unknown
LABEL io.hass.type="app" \
      io.hass.name="Wallcast" \
      io.hass.description="Pairs wall tablets with your house and pushes to each what concerns it" \
      io.hass.arch="${BUILD_ARCH}" \
      io.hass.version="${BUILD_VERSION}" \
      org.opencontainers.image.title="Wallcast" \
      org.opencontainers.image.description="Pairs wall tablets with your house and pushes to each what concerns it" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/wallcast/wallcast" \
      org.opencontainers.image.version="${BUILD_VERSION}"

EXPOSE 8443
# The process and its own listener, never Home Assistant: a restart of the app would not mend that.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["/usr/bin/wallcast", "health"]
# Root, confined by apparmor.txt: Supervisor makes /data and its options file root's alone, and the
# keys in /ssl usually are.
ENTRYPOINT ["/usr/bin/wallcast"]
