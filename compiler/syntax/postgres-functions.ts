/**
 * Functions of PostgreSQL 18 that are stable or immutable in every form, without those that only operators, types and
 * indexes call: a default that calls them is one value for all rows. The test beside this asks a server for the list.
 */
export const steadyFunctions: ReadonlySet<string> = new Set(
  `
  abbrev abs acldefault acos acosd acosh age area array_dims array_fill array_length array_lower array_ndims
  array_position array_positions array_remove array_replace array_reverse array_sort array_to_json array_to_string
  array_to_tsvector array_upper ascii asin asind asinh atan atan2 atan2d atand atanh bit bit_count bit_length bool
  box bpchar broadcast btrim bytea cardinality casefold cash_words cbrt ceil ceiling center char char_length
  character_length chr cidr circle col_description concat concat_ws convert convert_from convert_to cos cosd cosh
  cot cotd crc32 crc32c current_database current_schema current_schemas current_setting current_user
  database_to_xml database_to_xml_and_xmlschema database_to_xmlschema date date_add date_bin date_part
  date_subtract date_trunc datemultirange daterange daterange_canonical daterange_subdiff decode degrees dexp
  diagonal diameter div dlog1 dlog10 dround dtrunc encode enum_first enum_last enum_range enum_send erf erfc exp
  extract factorial family float4 float8 floor format format_type gamma gcd get_bit get_byte get_current_ts_config
  getdatabaseencoding getpgusername height host hostmask icu_unicode_version inet_client_addr inet_client_port
  inet_server_addr inet_server_port initcap int2 int4 int4inc int4multirange int4range int4range_canonical
  int4range_subdiff int8 int8_sum int8multirange int8range int8range_canonical int8range_subdiff interval
  is_normalized isclosed isempty isfinite ishorizontal isopen isparallel isperp isvertical json_array_length
  json_build_array json_build_object json_object json_populate_record json_strip_nulls json_to_record
  json_to_tsvector json_typeof jsonb_array_length jsonb_build_array jsonb_build_object jsonb_insert jsonb_object
  jsonb_path_exists jsonb_path_exists_tz jsonb_path_match jsonb_path_match_tz jsonb_path_query_array
  jsonb_path_query_array_tz jsonb_path_query_first jsonb_path_query_first_tz jsonb_populate_record
  jsonb_populate_record_valid jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls jsonb_to_record
  jsonb_to_tsvector jsonb_typeof justify_days justify_hours justify_interval lcm left length lgamma like
  like_escape line ln log log10 lower lower_inc lower_inf lpad lseg ltrim macaddr macaddr8 macaddr8_set7bit
  make_date make_interval make_time make_timestamp make_timestamptz makeaclitem masklen md5 min_scale mod money
  multirange mxid_age name nameconcatoid netmask network normalize notlike now npoints num_nonnulls num_nulls
  numeric numeric_div_trunc numeric_exp numeric_inc numeric_ln numeric_log numeric_sqrt nummultirange numnode
  numrange numrange_subdiff obj_description octet_length oid oidvectortypes overlaps overlay parse_ident path
  pclose phraseto_tsquery pi plainto_tsquery point polygon popen position postgresql_fdw_validator pow power
  querytree quote_ident quote_literal quote_nullable radians radius range_merge regexp_count regexp_instr
  regexp_like regexp_match regexp_replace regexp_split_to_array regexp_substr repeat replace reverse right round
  row_security_active row_to_json rpad rtrim satisfies_hash_partition scale schema_to_xml
  schema_to_xml_and_xmlschema schema_to_xmlschema session_user set_bit set_byte set_masklen setweight sha224 sha256
  sha384 sha512 shobj_description sign similar_escape similar_to_escape sin sind sinh slope split_part sqrt
  statement_timestamp string_to_array strip strpos substr substring system_user table_to_xml
  table_to_xml_and_xmlschema table_to_xmlschema tan tand tanh text textlen time timestamp timestamptz timetz
  timezone to_ascii to_bin to_char to_date to_hex to_json to_jsonb to_number to_oct to_regclass to_regcollation
  to_regnamespace to_regoper to_regoperator to_regproc to_regprocedure to_regrole to_regtype to_regtypemod
  to_timestamp to_tsquery to_tsvector transaction_timestamp translate trim_array trim_scale trunc ts_delete
  ts_filter ts_headline ts_lexize ts_rank ts_rank_cd tsmultirange tsquery_phrase tsrange tsrange_subdiff
  tstzmultirange tstzrange tstzrange_subdiff tsvector_to_array txid_current txid_current_if_assigned
  txid_current_snapshot txid_snapshot_xmax txid_snapshot_xmin txid_visible_in_snapshot unicode_assigned
  unicode_version unistr upper upper_inc upper_inf uuid_extract_timestamp uuid_extract_version varbit varchar
  version websearch_to_tsquery width width_bucket xid xml xml_is_well_formed xml_is_well_formed_content
  xml_is_well_formed_document xmlcomment xmlexists xmltext xmlvalidate xpath xpath_exists
`
    .trim()
    .split(/\s+/),
);

/** Its other functions that change no row of a table: aggregates, sets, random values, sequences. */
const otherFunctions: ReadonlySet<string> = new Set(
  `
  any_value array_agg array_sample array_shuffle avg bit_and bit_or bit_xor bool_and bool_or clock_timestamp corr
  count covar_pop covar_samp cume_dist current_query currval dense_rank every first_value gen_random_uuid
  generate_series generate_subscripts json_agg json_array_elements json_array_elements_text json_each
  json_each_text json_object_agg json_object_agg_strict json_object_agg_unique json_object_agg_unique_strict
  json_object_keys json_populate_recordset json_to_recordset jsonb_agg jsonb_array_elements
  jsonb_array_elements_text jsonb_each jsonb_each_text jsonb_object_agg jsonb_object_agg_strict
  jsonb_object_agg_unique jsonb_object_agg_unique_strict jsonb_object_keys jsonb_path_query jsonb_path_query_tz
  jsonb_populate_recordset jsonb_to_recordset lag last_value lastval lead max min mode nextval nth_value ntile
  percent_rank percentile_cont percentile_disc random random_normal range_agg range_intersect_agg rank
  regexp_matches regexp_split_to_table regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx
  regr_sxy regr_syy row_number setseed setval stddev stddev_pop stddev_samp string_agg string_to_table sum
  timeofday ts_debug ts_parse ts_token_type unnest uuidv4 uuidv7 var_pop var_samp variance xmlagg
`
    .trim()
    .split(/\s+/),
);

/** Not shown to change no row of a table; it may be anybody's, and do anything. */
export function mayChangeRows(parts: readonly string[]): boolean {
  const name = parts.at(-1) ?? '';
  const ofPostgres = parts.length === 1 || parts[0] === 'pg_catalog';
  return !ofPostgres || !(steadyFunctions.has(name) || otherFunctions.has(name));
}
