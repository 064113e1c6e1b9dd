# The package for CPUs, with its commands and the web page.
#
#   docker build -t s2a-jax .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" s2a-jax analyze scans --field-mm 3 --out results
#   docker run --rm -p 127.0.0.1:7860:7860 s2a-jax serve --host 0.0.0.0
FROM python:3.12-slim

RUN useradd --create-home s2a
WORKDIR /opt/s2a_jax
# The requirements first: this layer is built again only when they change.
COPY requirements.txt ./
RUN pip install --no-cache-dir -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY s2a_jax s2a_jax
RUN pip install --no-cache-dir '.[web,dicom]'

USER s2a
WORKDIR /work
# Compiled programs, for whichever user runs the container.
ENV HOME=/tmp
# Large pages for the temporary arrays of a step: docs/performance.md.
ENV GLIBC_TUNABLES=glibc.malloc.hugetlb=1
ENTRYPOINT ["s2a-jax"]
CMD ["--help"]
