# docker build -t looksay . && docker run --rm --read-only -p 127.0.0.1:8000:8000 looksay
FROM python:3.12-slim AS build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY recipes recipes
COPY src src
RUN python -m venv /looksay \
    && /looksay/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt '.[web]' \
    && /looksay/bin/pip uninstall --yes --quiet pip

FROM python:3.12-slim
COPY --from=build /looksay /looksay
RUN useradd --system --no-create-home --uid 10001 looksay
USER 10001
ENV PATH=/looksay/bin:$PATH PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["looksay", "serve", "--host", "0.0.0.0"]
