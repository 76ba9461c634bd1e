"""Facts joined with the names of their ids by PySpark: join_pyspark.py FACTS DIMS DEST WORKERS"""

import sys

from pyspark.sql import SparkSession

facts_csv, dims_csv, dest, workers = sys.argv[1:]
spark = (
    SparkSession.builder.master(f"local[{workers}]")
    .config("spark.driver.memory", "4g")
    .config("spark.sql.shuffle.partitions", 64)
    .config("spark.ui.enabled", False)
    .getOrCreate()
)
facts = spark.read.csv(facts_csv, header=True, schema="id INT, amount DOUBLE")
dims = spark.read.csv(dims_csv, header=True, schema="id INT, name STRING")
facts.join(dims, "id").write.csv(f"{dest}/result", sep="\t")
spark.stop()
